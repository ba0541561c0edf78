"""The native core as Python sees it. Requests and events cross as dicts, log text as `str`. What is kept or printed as
JSON crosses as JSON text: a hand-off, and what `doctor` and `list` find.

Every blocking method releases the GIL, serves Python signals at least every 100 ms, and may be called
again from inside a signal handler. Nothing here starts a thread before its first call, and every object
survives a `fork()`: the child builds its own connections.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, Literal, NotRequired, Required, TypedDict, TypeVar, final, type_check_only

__all__ = [
    "RESULT_FILE",
    "CheckedRequest",
    "Cluster",
    "Run",
    "Survey",
    "Unattended",
    "Waiter",
    "Work",
    "__commit__",
    "__kubernetes_api__",
    "__version__",
    "assemble",
    "begin_debug_log",
    "delete_jobs",
    "deployment_digest",
    "destination",
    "examine_job",
    "find_jobs",
    "find_jobs_async",
    "flush_debug_log",
    "identity",
    "job_arguments",
    "job_name",
    "list_jobs",
    "patch_job",
    "remedy",
    "resume",
    "rights",
]

__version__: str
#: Empty where it is not known.
__commit__: str
__kubernetes_api__: str
#: Where the base container writes its result.
RESULT_FILE: str

_Choice = TypeVar("_Choice")

# Values that cross as dicts. Types only: the module does not have these names.

@type_check_only
class Configuration(TypedDict, total=False):
    """Where a cluster's configuration is, as `src/cluster/configuration.rs` has it."""

    source: Required[Literal["default", "in_cluster", "file", "text"]]
    #: Of a file.
    path: str
    #: Of a kubeconfig, which may hold credentials.
    text: str
    context: str | None
    verify_ssl: bool
    namespace: str | None

@type_check_only
class Attempt(TypedDict, total=False):
    """One try of one task instance, as `src/identity/attempt.rs` has it."""

    deployment: Required[str]
    dag_id: Required[str]
    run_id: Required[str]
    task_id: Required[str]
    map_index: Required[int]
    try_number: Required[int]
    instance: Required[str]
    max_tries: int | None
    retries: int | None
    clear_number: int | None

@type_check_only
class PerOutcome(TypedDict, Generic[_Choice], total=False):
    """One choice for each way in which a Job can end, as `src/model/per_outcome.rs` has it."""

    succeeded: _Choice
    failed: _Choice

@type_check_only
class Ttl(TypedDict, total=False):
    """The argument `ttl_seconds_after_finished`, as `src/manifest/ttl.rs` has it."""

    kind: Required[Literal["unset", "never", "seconds"]]
    #: Only of the kind `seconds`.
    seconds: int

@type_check_only
class Marking(TypedDict, total=False):
    """The labels and annotations that an installation wants, as `src/submit/marking.rs` has it."""

    task_label_prefix: str | None
    default_labels: dict[str, str]
    default_annotations: dict[str, str]

@type_check_only
class ResultSidecar(TypedDict, total=False):
    """What a user wants of the sidecar that prints the result, as `src/manifest/result_file.rs` has it."""

    image: str | None
    resources: dict[str, Any] | None
    security_context: dict[str, Any] | None

@type_check_only
class LogFormat(TypedDict, total=False):
    """How the lines of containers look, as `src/model/policies.rs` has it."""

    line_times: bool
    line_levels: bool
    raw: bool

@type_check_only
class NamedLogs(TypedDict):
    """The logs of the containers of these names, as `LogSources` in `src/model/policies.rs` has it."""

    named: list[str]

@type_check_only
class DeleteTarget(TypedDict, total=False):
    """Which Jobs an order means, as `src/delete/request.rs` has it: each kind has the keys that it needs."""

    kind: Required[Literal["name", "uid", "listed", "selector"]]
    name: str
    uid: str | None
    uids: list[str]
    labels: str

@type_check_only
class JobRequest(TypedDict, total=False):
    """What one attempt is asked to do, as `src/submit/request.rs` has it; see `unique_k8s_job.request.job`."""

    attempt: Required[Attempt]
    slug: str | None
    default_slug: str
    fixed_name: str | None
    run_time: Required[str]
    namespace: str | None
    manifest: Any
    overlays: list[Any]
    from_cron_job: str | None
    #: What the installation's `pod_mutation_hook` has made of the one that `assemble` gives.
    pod_template: dict[str, Any] | None
    field_validation: Literal["strict", "warn", "ignore"]
    #: Those that were given, each as `job_arguments` says.
    arguments: dict[str, Any]
    ttl: PerOutcome[Ttl]
    on_finish: PerOutcome[Literal["keep", "delete"]]
    safe_ttl_seconds: int
    patch_jobs: bool
    marking: Marking
    policy: Literal["reattach", "replace", "ignore"]
    lookup: bool
    known_names: list[str]
    startup_timeout_seconds: int
    init_timeout_seconds: int | None
    handover_timeout_seconds: int
    queue_name: str | None
    queue_timeout_seconds: int | None
    replace_lost: bool
    release_stuck: Literal["never", "ours", "gc"]
    release_after_seconds: int
    on_lingering_sidecar: Literal["wait", "finish"]
    result: Literal["termination-message", "sidecar"] | None
    result_sidecar: ResultSidecar
    get_logs: bool
    container_logs: Literal["all", "base"] | NamedLogs
    init_container_logs: Literal["all", "base"] | NamedLogs
    log_format: LogFormat
    running_clear_is_visible: bool

@type_check_only
class DeleteRequest(TypedDict, total=False):
    """An order to delete Jobs, as `src/delete/request.rs` has it; see `unique_k8s_job.request.delete`."""

    target: Required[DeleteTarget]
    namespace: str | None
    wait_for: Literal["gone", "accepted"]
    timeout_seconds: int
    release_stuck: Literal["never", "ours", "gc"]
    release_after_seconds: int
    propagation_policy: Literal["Background", "Foreground", "Orphan"]
    only_if: Literal["any", "finished", "succeeded", "failed"]
    include_owned: bool

@type_check_only
class JobSelector(TypedDict, total=False):
    """Jobs that fit everything that is given, of which one of the middle three is needed."""

    namespace: str | None
    name: str | None
    uid: str | None
    label_selector: str | None
    #: Whether to find out why they do not move, or failed.
    explain: bool

@type_check_only
class PatchRequest(TypedDict):
    namespace: str | None
    name: str
    uid: str | None
    #: A part of a Job.
    body: dict[str, Any]
    timeout_seconds: int

@type_check_only
class JobQuery(TypedDict, total=False):
    dag_id: str
    task_id: str
    run_id: str
    states: Sequence[str]
    older_than_seconds: int

@type_check_only
class RemedyRequest(TypedDict):
    remedy: Literal["release-gc-finalizers", "delete-ownerless-pods"]
    job: JobReference

@type_check_only
class Identity(TypedDict):
    #: None where the API server is too old to say (before Kubernetes 1.28).
    user: str | None
    uid: str | None
    groups: list[str]
    extra: dict[str, list[str]]

@type_check_only
class JobReference(TypedDict):
    namespace: str
    name: str
    uid: str

@type_check_only
class ContainerExit(TypedDict):
    pod: str
    container: str
    init: bool
    restart_count: int
    exit_code: int
    signal: int | None
    reason: str | None
    message: str | None
    killed_by: str | None
    words: str

@type_check_only
class PodEndCondition(TypedDict):
    type: str
    status: str
    reason: str | None
    message: str | None

@type_check_only
class PodEnd(TypedDict):
    """A Pod that did not end well, as `src/model/pod_end.rs` has it."""

    pod: str
    node: str | None
    index: str | None
    phase: str
    reason: str | None
    message: str | None
    conditions: list[PodEndCondition]
    words: str

@type_check_only
class UnusableResult(TypedDict):
    message: str
    seen: list[str]
    hint: str | None
    facts: dict[str, Any]

@type_check_only
class JobResult(TypedDict, total=False):
    """What its base containers wrote, as `src/model/job_result.rs` has it: exactly one of the keys."""

    text: str | None
    texts: list[str | None]
    text_by_index: dict[str, str | None]
    unusable: UnusableResult

@type_check_only
class Outcome(TypedDict):
    """How a Job ended, as `src/model/outcome.rs` has it."""

    state: Literal["succeeded", "failed", "vanished"]
    reason: str | None
    message: str | None
    exit_code: int | None
    cause: str | None
    pods: list[PodEnd]
    containers: list[ContainerExit]
    lingering: list[str]
    times: dict[str, str | None]
    job: JobReference
    #: Only where it was asked for, and the Job succeeded.
    result: NotRequired[JobResult]
    summary: str
    timeline: str

@type_check_only
class SubmittedEvent(TypedDict):
    kind: Literal["submitted"]
    name: str
    namespace: str
    uid: str
    origin: Literal["created", "adopted", "taken_over", "outcome_used"]
    #: The try that made the Job.
    try_number: int

@type_check_only
class MessageEvent(TypedDict):
    kind: Literal["message"]
    level: Literal["debug", "info", "warning"]
    code: str
    text: str

@type_check_only
class LogEvent(TypedDict):
    kind: Literal["log"]
    pod: str
    container: str
    text: str
    lines: int
    parts: list[tuple[int, Literal["info", "warning", "error"], str | None]]
    mark: bool

@type_check_only
class OutcomeEvent(Outcome):
    kind: Literal["outcome"]

@type_check_only
class DeletedEvent(JobReference):
    kind: Literal["deleted"]
    pods_kept: set[str]

@type_check_only
class EndedEvent(TypedDict):
    kind: Literal["ended"]
    deleted: list[str]
    released: list[str]
    pods_deleted: list[str]
    pods_kept: list[str]
    skipped: dict[str, str]

@type_check_only
class RemovedEvent(TypedDict):
    kind: Literal["removed"]
    #: What was done; None if no Job was made.
    text: str | None

@type_check_only
class FoundJob(TypedDict):
    job: JobReference
    suspended: bool
    deleting: bool
    outcome: Outcome | None
    findings: list[str]

@type_check_only
class PatchedJob(TypedDict):
    job: JobReference
    changed: bool
    confirmed: bool
    finished: bool
    suspended: bool
    parallelism: int | None
    active: int

@type_check_only
class UnattendedJob(TypedDict):
    job: JobReference
    owner: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int

@final
class Cluster:
    """One cluster and one identity in it. Building it does no I/O; the first request connects."""

    def __new__(cls, configuration: Configuration) -> Cluster: ...
    def namespace(self) -> str:
        """The namespace of the configuration, of its context, or `default`. Raises ConfigurationError."""

@final
class CheckedRequest:
    """A request to run a Job that was read and checked, so that what takes it needs not read it again.

    Raises InvalidManifestError, or ConfigurationError where it holds what JSON has not.
    """

    def __new__(cls, request: JobRequest) -> CheckedRequest: ...

@final
class Run:
    """One attempt at work: submits or takes over its Job at once and follows it to its outcome.

    The work happens on Rust's own threads and pauses when nobody calls `next` for long: at most 4 MiB of log wait in
    memory.
    """

    def __new__(cls, cluster: Cluster, request: JobRequest | CheckedRequest) -> Run: ...
    def next(self, timeout: float) -> list[SubmittedEvent | MessageEvent | LogEvent | OutcomeEvent]:
        """Events in order, at least one; `[]` after `timeout` seconds without any, or after `wake`.

        Kinds (key `kind`):
        `submitted` {name, namespace, uid, origin: created|adopted|taken_over|outcome_used, try_number (that made it)};
        `message` {level: debug|info|warning, code, text};
        `log` {pod, container, text, lines: int, parts, mark: bool}, many lines in one `text` when they come fast. With
        several sources each line starts with `[pod-suffix/container]`, or `[index]` in an Indexed Job. `parts` says
        which lines are one record of Airflow: for each record the number of its lines, its level
        (info|warning|error), and when its first line was written. `mark`: our own words about the log, not the
        container's;
        `outcome` {state: succeeded|failed|vanished, ...}, always the last one, after the whole log.
        Raises what ended the attempt without an outcome (a subclass of UniqueK8sJobError).
        """
    def wake(self) -> None:
        """End a waiting `next`, from any thread or signal handler. Never blocks."""
    def acknowledge(self) -> list[MessageEvent]:
        """Write the label `acknowledged` and the TTL of the outcome, then delete the Job where `on_finish` says so.

        Returns `message` events: what was done, and warnings of what could not be. Raises TakenOverError only.
        """
    def delete(self, confirm_for: float = 60.0) -> Work:
        """Stop following, and start to delete the Job this attempt owns and to confirm it gone with its Pods.

        Its events say that the DELETE was accepted, and every so often that the wait goes on; the last one is `removed`.
        Sends the DELETE at once, also while the submission is still under way. `confirm_for` seconds are given to
        the confirmation; after them its `next` raises DeletionUnconfirmedError, and TakenOverError if another try owns
        the Job.
        """
    def hand_over(self) -> str | None:
        """Stop following, as `close`, and return what a `Waiter` and `resume` need, as JSON; None without a Job."""
    def close(self) -> None:
        """Stop following and leave the Job as it is."""

def destination(cluster: Cluster, request: JobRequest | CheckedRequest) -> tuple[str, str]:
    """The namespace and the name that a first try gives to the Job of a run's request, before anything is sent.

    Asks nothing of the API server; reading the configuration may start a credential plugin.
    """

def resume(cluster: Cluster, request: str) -> Run:
    """A `Run` that starts nothing: it can `acknowledge` and `delete` the Job that was handed over.

    `request` is what `Run.hand_over` gave; for `acknowledge` with the key `finish`, an object
    `{"state": succeeded|failed|vanished, "lingering": bool}`.
    """

@final
class Waiter:
    """One Job in an asyncio loop, beside thousands of others: followed by reference, whoever made it.

    `request` is what `Run.hand_over` gave, or a JSON object with these keys, of which only `job` is needed; unknown
    ones are passed over:
    `job` {namespace, name, uid};
    `owner`: the owner annotation of the attempt whose Job it is; null for a Job made by others, which is read only;
    `task`, `attempt`: digests of that attempt, by which late Jobs of lower tries are known;
    `until`: `finished` (default) or `gone`;
    `get_logs` (default true), `log_format`: as in a run's request;
    `startup_timeout_seconds`, `init_timeout_seconds`, `queue_timeout_seconds`: default null, for ever; `handover_timeout_seconds`: default 60;
    `on_lingering_sidecar`, `clean_up`: as in a run's request;
    `positions`: how far the log was delivered before, by Pod and container.

    Building it starts nothing. It may be used in one loop after another; a loop that is closed is forgotten.
    """

    def __new__(cls, cluster: Cluster, request: str) -> Waiter: ...
    def next(
        self, timeout: float | None = None
    ) -> Awaitable[list[SubmittedEvent | MessageEvent | LogEvent | OutcomeEvent]]:
        """Events as of `Run.next`, at least one; `[]` after the timeout, after the last one and once the waiter is closed.

        :param timeout: seconds; None waits for ever, and costs nothing

        Cancelling loses no event: the next call has them. Await it where it is called.
        """
    def delete(self, confirm_for: float = 60.0) -> Awaitable[str]:
        """Stop following and delete the Job if it is the attempt's own, as `Run.delete`.

        It goes on to its end also where the awaiting coroutine is cancelled.
        """
    def said(self) -> list[MessageEvent]:
        """Take what `delete` has said since the last call, such as that the DELETE was accepted. Never waits."""
    def store_positions(self) -> Awaitable[None]:
        """Stop following, and write on the Job how far its log was handed over; at most 1.5 s.

        Nothing is raised, and nothing written where nothing changed. While lines are handed over they are written
        once a minute without this. It goes on also where the awaiting coroutine is cancelled.
        """
    def close(self) -> None:
        """Stop following and leave the Job as it is."""

@final
class Unattended:
    """The Jobs of a namespace that nobody waits for in this process; as long as it lives the watch of our Jobs goes on."""

    def __new__(cls, cluster: Cluster, namespace: str) -> Unattended: ...
    def jobs(self) -> list[UnattendedJob]:
        """Jobs at work that no Waiter follows, of the Airflows of which a Waiter has followed one; asks nothing.

        Each is {job: {namespace, name, uid}, owner, dag_id, run_id, task_id, map_index, try_number}: `job` and `owner`
        as a Waiter needs them to delete it. Those that another process follows are among them.
        """

@final
class Work:
    """A deletion under way, told event by event. Dropping it stops the watching, not what the cluster does."""

    def next(self, timeout: float) -> list[MessageEvent | DeletedEvent | EndedEvent | RemovedEvent]:
        """Events in order, at least one; `[]` after `timeout` seconds without any, or after `wake`.

        Kinds (key `kind`) of an order to delete: `message` {level: info|warning, code, text}; `deleted` {name, namespace,
        uid, pods_kept}, one a Job; `ended` {deleted, released, pods_deleted, pods_kept: names; skipped: {name: why}},
        always the last one. Of `Run.delete`: `message`, and `removed` {text: what was done | None}, the last one.
        Raises what ended the work instead (a subclass of UniqueK8sJobError).
        """
    def wake(self) -> None:
        """End a waiting `next`, from any thread or signal handler. Never blocks."""
    def close(self) -> None:
        """Stop watching."""

def begin_debug_log(level: str, takes: Callable[[list[tuple[float, str]]], object]) -> None:
    """From now on hand over what the core does to `takes`, on a thread of the core: (seconds since 1970, line) in order.

    `level` is `off`, `debug` (a line a request) or `trace` (the events of watches, too). `takes` is that of the first call;
    later ones change the level. 4,096 lines wait at most; those beyond are dropped, and their number is told.
    """

def flush_debug_log(within: float) -> None:
    """Wait until all lines that were written are handed over, at most `within` seconds."""

def delete_jobs(cluster: Cluster, request: DeleteRequest) -> Work:
    """Start an order to delete Jobs."""

def find_jobs(cluster: Cluster, request: JobSelector) -> list[FoundJob]:
    """Jobs that anybody may have made, asked for once; reads only.

    Each Job is {job: {namespace, name, uid}, suspended,
    deleting, outcome, findings}: `outcome`, as that of `Run.next`, is None until it has ended; `findings` are paragraphs
    that say why it does not move or failed, where `explain` asks for them. No Job that fits: `[]`.
    """

def find_jobs_async(cluster: Cluster, request: JobSelector) -> Awaitable[list[FoundJob]]:
    """`find_jobs`, to be awaited: takes no thread while it waits, however many do so at once. Needs a running event loop.

    It goes on to its end also where the awaiting coroutine is cancelled.
    """

def patch_job(cluster: Cluster, request: PatchRequest) -> PatchedJob:
    """Change one Job that anybody may have made, and wait until its controller has acted."""

def job_name(request: JobRequest | CheckedRequest) -> str:
    """The Job name (generation 0) of a request's attempt. Pure."""

def assemble(request: JobRequest | CheckedRequest) -> str:
    """The Job that a request would create, as JSON. Pure. Raises InvalidManifestError."""

def deployment_digest(key: str, base_url: str, execution_api_url: str) -> str:
    """The default deployment id: a digest of the URLs, keyed by the first fernet key. Pure."""

def job_arguments() -> list[tuple[str, str]]:
    """Each argument of the operator that shapes the Job, and what a user may give for it. Pure."""

@final
class Survey:
    """A look at all Jobs of a namespace (None: of all), under way. Changes nothing.

    Text, since thousands of Jobs as Python objects would take more memory than all else; what is found waits in the
    cluster until the piece before was taken.
    """

    def __new__(cls, cluster: Cluster, namespace: str | None) -> Survey: ...
    def next(self) -> str | None:
        """The next piece, as JSON: {`time`, `diagnoses`}; the last is {`schema_version`, `time`, `namespace`, `jobs`, `stuck`,
        `unknown`}, all as `docs/doctor.md` has them; then None. Raises where the Jobs cannot be read.
        """

def examine_job(cluster: Cluster, namespace: str, name: str) -> str:
    """Look at one Job and at what namesakes of it have left; JSON text as `docs/doctor.md` has it.

    `diagnoses` is empty where there is neither.
    """

def list_jobs(cluster: Cluster, namespace: str | None, query: JobQuery) -> str:
    """List our Jobs of a namespace, or of all, that fit a query; JSON text as `docs/list.md` has it."""

def identity(cluster: Cluster) -> Identity:
    """Ask the API server who it takes us for."""

def remedy(cluster: Cluster, request: RemedyRequest, confirm_for: float) -> dict[str, Any]:
    """Carry out one remedy for one Job, and return {done: bool, text}.

    Looks again before it touches anything, and returns once it is seen done. Raises DeletionUnconfirmedError after
    `confirm_for` seconds.
    """

def rights(cluster: Cluster, namespace: str) -> dict[str, Any]:
    """Return {server, version, user, groups, namespace, rights}: each right with `verb`, `group`, `resource`, `need`, `allowed`, ..."""
