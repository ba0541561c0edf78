"""`UniqueK8sJobSensor`: waits for Jobs that somebody else made.

This layer is thin: `sensor_condition` has the table of what is awaited, and the Rust core finds and follows Jobs. It
only reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from unique_k8s_job import native
from unique_k8s_job.exceptions import ConfigurationError, JobVanishedError, UniqueK8sJobError
from unique_k8s_job.request.arguments import connection, one_of, text
from unique_k8s_job.request.literals import judge_connection
from unique_k8s_job.task import job_result
from unique_k8s_job.task.compat import BaseSensorOperator, Context, moved_exception
from unique_k8s_job.task.sensor_condition import UNTIL, Verdict, failed, verdict
from unique_k8s_job.task.settings import default_deferrable

if TYPE_CHECKING:
    from unique_k8s_job._core import JobSelector


class UniqueK8sJobSensor(BaseSensorOperator):
    """Wait for Jobs made elsewhere: to succeed, to finish, to exist, or to be gone.

    A Job has to match all given arguments. A name means whichever Job has it. A uid means one Job, and no other of the
    same name. Labels mean all Jobs that have them: there has to be at least one (except for `gone`), and all of them
    have to be in the wanted state. The task returns the summary of the outcome, or the list of them for
    `label_selector`; for `exists` the Jobs that were found.

    :param namespace: the namespace of the Jobs; else that of the connection or the context, else `default`
    :param name: the name of the Job
    :param uid: the uid of the Job
    :param label_selector: labels of the Jobs, as in `kubectl -l`
    :param until: `succeeded`: a failed Job fails the sensor; `finished`: succeeded or failed; `exists`; `gone`
    :param logs: write the containers' logs into the task log: live if `deferrable`, else once the Job has ended
    :param deferrable: wait in the triggerer, without polling: the end is known the moment Kubernetes knows it. Default:
        `[operators] default_deferrable`
    :param kubernetes_conn_id: a connection of type `kubernetes`; the default one need not exist
    :param in_cluster: use the service account of the worker's Pod
    :param config_file: use this kubeconfig file
    :param cluster_context: use this context of the kubeconfig
    :raises JobFailedError: a Job failed; skipped instead with `soft_fail`
    :raises JobVanishedError: a Job named by its uid is gone and its end was not seen; skipped instead with `soft_fail`
    """

    #: Airflow stores this path, and names the logger by it, as with `UniqueK8sJobOperator`.
    __module__ = "unique_k8s_job.sensor"

    template_fields: Sequence[str] = (
        "namespace",
        "name",
        "uid",
        "label_selector",
        "kubernetes_conn_id",
        "config_file",
        "cluster_context",
    )
    ui_color = "#e6f1f2"

    # The messages that were written. It is an attribute of the class, because Airflow also makes operators without
    # `__init__`.
    _logged: frozenset[str] | set[str] = frozenset()

    def __init__(
        self,
        *,
        namespace: str | None = None,
        name: str | None = None,
        uid: str | None = None,
        label_selector: str | None = None,
        until: Literal["succeeded", "finished", "gone", "exists"] = "succeeded",
        logs: bool = False,
        deferrable: bool | None = None,
        kubernetes_conn_id: str | None = "kubernetes_default",
        in_cluster: bool | None = None,
        config_file: str | None = None,
        cluster_context: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.namespace = namespace
        self.name = name
        self.uid = uid
        self.label_selector = label_selector
        self.until = one_of("until", until, *UNTIL)
        self.logs = logs
        self.deferrable = default_deferrable() if deferrable is None else deferrable
        self.kubernetes_conn_id = kubernetes_conn_id
        self.in_cluster = in_cluster
        self.config_file = config_file
        self.cluster_context = cluster_context
        judge_connection(self)

    def poke(self, context: Context) -> Any:
        """Check once; Airflow calls this again until the sensor is satisfied."""
        from unique_k8s_job.task.sensor_log import write_logs

        target, cluster = self.target(), self._cluster()
        found = native.find_jobs(cluster, {**target, "explain": True})
        judged = verdict(self.until, found, by_uid=bool(self.uid))
        if judged is Verdict.WAIT:
            self._log_once(waiting(self.until, found))
            for job in found:
                for finding in job["findings"]:
                    self._log_once(finding)
            return False
        if self.logs and self.until != "exists":
            write_logs(cluster, found, self.log)
        return self._concluded(judged, found)

    def execute(self, context: Context) -> Any:
        """Wait, in this process or in the triggerer."""
        if not self.deferrable:
            return super().execute(context)
        from unique_k8s_job.task.sensor_deferral import defer

        if (found := self.poke(context)) is not False:
            return found.xcom_value
        return defer(self, context)

    def execute_complete(self, context: Context, event: Any = None, **_: Any) -> Any:
        """Go on after the deferral, with what the trigger found."""
        from unique_k8s_job.task import sensor_deferral

        try:
            judged, found = sensor_deferral.found_in(event)
        except UniqueK8sJobError as error:
            self._fail(error)
        if judged is Verdict.WAIT:
            why = f"The sensor's time is over: {waiting(self.until, found)}"
            raise moved_exception("AirflowSkipException" if self.soft_fail else "AirflowSensorTimeout")(why)
        return self._concluded(judged, found).xcom_value

    # --- shared by all modes ----------------------------------------------------------------------------------------

    def target(self) -> JobSelector:
        """Return which Jobs are meant, as a request to find them.

        :raises ConfigurationError: if no argument says it
        """
        if not (self.name or self.uid or self.label_selector):
            raise ConfigurationError(
                "The sensor does not know which Job to wait for", hint="give `name`, `uid` or `label_selector`"
            )

        def given(name: str) -> str | None:
            return text(name, getattr(self, name)) if getattr(self, name) else None

        return {
            "namespace": given("namespace"),
            "name": given("name"),
            "uid": given("uid"),
            "label_selector": given("label_selector"),
        }

    def _cluster(self) -> Any:
        from unique_k8s_job.hooks.kubernetes import UniqueK8sJobHook

        return UniqueK8sJobHook(**connection(self)).get_conn()

    def _concluded(self, judged: Verdict, found: Sequence[Mapping[str, Any]]) -> Any:
        from unique_k8s_job.task.compat import PokeReturnValue

        if judged is Verdict.FAILED:
            first, *more = failed(found)
            seen = [finding for job in found if job.get("outcome") == first for finding in job.get("findings") or ()]
            seen += [f"{len(more)} more Jobs failed, too"] if more else []
            self._fail(job_result.failure(first, seen=seen))
        if judged is Verdict.VANISHED:
            self._fail(
                JobVanishedError(
                    f"Job of uid {self.uid} is gone, and its end was not seen",
                    seen=["no Job of this uid" + (f" in namespace `{self.namespace}`" if self.namespace else "")],
                    hint="give Jobs a TTL longer than the sensor's pauses, or make the sensor deferrable",
                    uid=self.uid,
                )
            )
        for job in found:
            if job.get("outcome"):
                self.log.info("%s", job["outcome"]["summary"])
        results = [summary(job) for job in found]
        value = results if self.label_selector else (results[0] if results else None)
        return PokeReturnValue(is_done=True, xcom_value=value)

    def _log_once(self, text: str) -> None:
        if text not in self._logged:
            self._logged = {*self._logged, text}
            self.log.info("%s", text)

    def _fail(self, error: UniqueK8sJobError) -> NoReturn:
        """Raise an error, or skip if `soft_fail` is set: Airflow itself does so only for its own errors."""
        if self.soft_fail or getattr(self, "never_fail", False):
            raise moved_exception("AirflowSkipException")(f"Skipped instead of failed: {error}") from error
        raise error


def summary(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sensor's value for one Job: the summary of its outcome, as the operator's, or what is known."""
    if outcome := job.get("outcome"):
        return job_result.summary(outcome)
    return {"state": "unfinished", "job": dict(job["job"])}


def waiting(until: str, found: Sequence[Mapping[str, Any]]) -> str:
    """Word what the sensor still waits for."""
    if not found:
        return "no such Job yet"
    names = [
        f"`{job['job']['namespace']}/{job['job']['name']}`{condition(job)}" for job in found if awaited(until, job)
    ]
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    goal = "to be gone" if until == "gone" else "to end"
    return f"waiting for {', '.join(names[:5])}{more} {goal}"


def awaited(until: str, job: Mapping[str, Any]) -> bool:
    """Whether this Job is one that the sensor still waits for."""
    return until == "gone" or not job.get("outcome")


def condition(job: Mapping[str, Any]) -> str:
    """Word what keeps a Job from going on, if it is known."""
    if job.get("deleting"):
        return " (being deleted)"
    return " (suspended)" if job.get("suspended") else ""
