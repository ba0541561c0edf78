"""Each way in which a Job gets stuck on a cluster that works: `doctor` names it, and `--fix` does what it says.

Ways that have nothing to do with each other are provoked at the same time. `docs/stuck.md` is what is seen here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import doctor
from command_line import CommandLine, container, job_spec
from one_node_cluster import Object, OneNodeCluster, names
from registry import registry
from stuck_table import saw, still_grows
from waiting import until

#: Ends at once when asked to.
ENDLESS = "trap 'exit 0' TERM; sleep 1000 & wait"
NOTHING = "nothing: fix it yourself, see next"
AS_MEANT = "nothing: this is normal"


@dataclass
class Way:
    """One way to be stuck: a Job that gets there by itself, and the finding about it."""

    job: str
    way: str
    how: str
    code: str
    words: tuple[str, ...]
    spec: dict[str, Any]
    severity: str = "blocking"
    metadata: dict[str, Any] = field(default_factory=dict)

    def object(self) -> Object:
        metadata = {"name": self.job, **self.metadata}
        return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": self.spec}


def one(script: str = ENDLESS, **fields: Any) -> dict[str, Any]:
    """A Job of one container; `job` has fields of the Job's spec, `pod` of the Pod's."""
    of_job = fields.pop("job", {})
    pod = fields.pop("pod", {})
    return job_spec(container("base", script, **fields), pod=pod, **of_job)


def volume(**source: Any) -> dict[str, Any]:
    """A Job whose container mounts one volume, named `data`."""
    return one(pod={"volumes": [{"name": "data", **source}]}, volumeMounts=[{"name": "data", "mountPath": "/d"}])


def probe(kind: str, said: str) -> dict[str, Any]:
    """A probe that fails at once, and says this."""
    return {
        kind: {"exec": {"command": ["sh", "-c", f"echo {said}; exit 1"]}, "periodSeconds": 1, "failureThreshold": 2}
    }


def webhook(name: str, namespace: str, operation: str, resource: str) -> Object:
    """An admission webhook that does not answer, for one kind of request in one namespace."""
    group = "batch" if resource == "jobs" else ""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": f"{resource}.{operation.lower()}.example.com",
                "clientConfig": {"url": "https://127.0.0.1:1/"},
                "rules": [
                    {"apiGroups": [group], "apiVersions": ["v1"], "operations": [operation], "resources": [resource]}
                ],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "failurePolicy": "Fail",
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "timeoutSeconds": 1,
            }
        ],
    }


@contextmanager
def broken_admission(cluster: OneNodeCluster, namespace: str, operation: str, resource: str) -> Iterator[None]:
    hook = webhook(f"{namespace}-{operation.lower()}-{resource}", namespace, operation, resource)
    cluster.apply(hook)
    try:
        yield
    finally:
        cluster.kubectl("delete", "validatingwebhookconfiguration", str(hook["metadata"]["name"]))


def create(cluster: OneNodeCluster, namespace: str, *objects: Object) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    cluster.kubectl("create", "-n", namespace, "-f", "-", stdin=json.dumps(listed))


def check(call: CommandLine, ways: list[Way], *, seconds: float) -> None:
    """Wait for the finding of each way, and hold it against its words, its severity and its row."""
    of_job = {way.job: way for way in ways}

    def lacks(job: str, finding: doctor.Finding) -> list[str]:
        way, text = of_job[job], json.dumps(finding, ensure_ascii=False)
        page = ["what the page says"] if still_grows(way.way, finding) else []
        return [word for word in way.words if word not in text] + page

    found = doctor.wait_for(call, {(way.job, way.code) for way in ways}, seconds=seconds, lacks=lacks)
    for way in ways:
        finding = found[way.job, way.code]
        text = json.dumps(finding, ensure_ascii=False)
        assert finding["severity"] == way.severity, f"{way.way}: {text}"
        assert finding["next_step"] and finding["remedy"] is None, f"{way.way}: {text}"
        saw(way.way, way.how, finding, AS_MEANT if way.severity == "info" else NOTHING)


def test_container_that_cannot_start_is_told_with_what_it_lacks(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    with registry(cluster.network_namespace()) as host:
        ways = [
            Way("absent", "image that its registry does not have", "a registry that answers 404", "image-not-found",
                (f"{host}/absent:1", "push it to the registry"), one(image=f"{host}/absent:1")),
            Way("private", "image for which the registry wants credentials", "a registry that answers 401",
                "image-no-credentials", ("image_pull_secrets", "create secret docker-registry"),
                one(image=f"{host}/private/x:1")),
            Way("pull-secret", "pull secret that does not exist", "a registry that answers 401, and imagePullSecrets",
                "image-no-credentials", ("Pull secret `regcred` does not exist", "create secret docker-registry regcred"),
                one(image=f"{host}/private/x:1", pod={"imagePullSecrets": [{"name": "regcred"}]})),
            Way("unreachable", "registry that cannot be reached", "a registry whose name does not resolve",
                "registry-unreachable", ("registry.invalid", "who runs this node"), one(image="registry.invalid/x:1")),
            Way("never", "image that may not be pulled", "imagePullPolicy Never and an image the node lacks",
                "image-never-pulled", ("ErrImageNeverPull", "node1"),
                one(image="local.test/absent:1", imagePullPolicy="Never")),
            Way("misspelt", "image whose name is none", "capitals in the image's name", "image-name-invalid",
                ("UPPER/Case:1",), one(image="UPPER/Case:1")),
            Way("configmap", "missing ConfigMap", "envFrom a ConfigMap that is not there", "config-missing",
                ("create configmap absent-settings",), one(envFrom=[{"configMapRef": {"name": "absent-settings"}}])),
            Way("key", "missing key of a Secret", "env from a key that the Secret does not have", "config-missing",
                ("Secret", "has no key `token`"),
                one(env=[{"name": "T", "valueFrom": {"secretKeyRef": {"name": "vault", "key": "token"}}}])),
            Way("volume", "missing Secret of a volume", "a volume of a Secret that is not there", "config-missing",
                ("create secret generic absent-secret", "FailedMount"),
                one(pod={"volumes": [{"name": "v", "secret": {"secretName": "absent-secret"}}]},
                    volumeMounts=[{"name": "v", "mountPath": "/v"}])),
            Way("volume-key", "missing key of a volume", "a volume of a key that the ConfigMap does not have", "config-missing",
                ("ConfigMap", "has no key `nokey` (volume `data`)"),
                volume(configMap={"name": "half", "items": [{"key": "nokey", "path": "p"}]})),
            Way("host-path", "directory of the node that is not there", "a volume of a hostPath that does not exist",
                "volume-not-mounted", ("/no/such/dir is not a directory", "node1"),
                volume(hostPath={"path": "/no/such/dir", "type": "Directory"})),
            Way("as-root", "image that runs as root", "runAsNonRoot", "runs-as-root", ("runAsUser",),
                one(securityContext={"runAsNonRoot": True})),
            Way("command", "command that is not in the image", "a command that does not exist", "container-not-created",
                ("no-such-program",), one(command=["no-such-program"], job={"backoffLimit": 6},
                                          pod={"restartPolicy": "OnFailure"})),
        ]  # fmt: skip
        create(cluster, namespace, {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "vault"}},
               {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "half"}, "data": {"a": "b"}})  # fmt: skip
        create(cluster, namespace, *(way.object() for way in ways))
        check(command_line, ways, seconds=90)
        for code in ("image-not-found", "registry-unreachable"):
            job = next(way.job for way in ways if way.code == code)
            shown = command_line.call("doctor", "--job", job)
            assert shown.code == 1 and code in shown.stdout and "next: kubectl" in shown.stdout, shown
        fixed = command_line.call("doctor", "--fix", "--yes")
        assert fixed.code == 1 and "Nothing of this can be put right from here" in fixed.stderr, fixed


def test_job_that_waits_or_fails_again_and_again_is_told_with_the_reason(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    on_failure = {"restartPolicy": "OnFailure"}
    indexed = {"completions": 5, "parallelism": 5, "completionMode": "Indexed", "backoffLimitPerIndex": 0}
    without_limit = one(f"test $JOB_COMPLETION_INDEX != 3 || exit 3; {ENDLESS}", job=indexed)
    del without_limit["backoffLimit"]
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "absent",
        "resources": {"requests": {"storage": "1Gi"}},
    }
    ways = [
        Way("cpu", "Pod that no node takes", "a request of 1000 CPUs", "unschedulable", ("Insufficient cpu",),
            one(resources={"requests": {"cpu": "1000"}}), "warning"),
        Way("memory", "Pod that asks for more memory than a node has", "a request of 900Gi", "unschedulable",
            ("No node is large enough for 900Gi memory", "node1"), one(resources={"requests": {"memory": "900Gi"}}), "warning"),
        Way("gpu", "Pod that asks for a resource that no node has", "a limit of 1 nvidia.com/gpu", "unschedulable",
            ("No node offers nvidia.com/gpu",), one(resources={"limits": {"nvidia.com/gpu": "1"}}), "warning"),
        Way("label", "Pod that asks for a label that no node has", "a nodeSelector", "unschedulable",
            ("get nodes -L gpu",), one(pod={"nodeSelector": {"gpu": "a100"}}), "warning"),
        Way("alike", "Pods that wait for the same", "parallelism 4, and a port of the node", "unschedulable",
            ("3 of 4 Pods",), one(ports=[{"containerPort": 80, "hostPort": 41080}], job={"parallelism": 4, "completions": 4}),
            "warning"),
        Way("claim", "claim that is not bound", "a claim of a storage class that does not exist", "claim-not-bound",
            ('storageclass.storage.k8s.io \\"absent\\" not found',),
            volume(persistentVolumeClaim={"claimName": "pending"})),
        Way("no-claim", "claim that does not exist", "a claim that is not there", "claim-missing", ("get persistentvolumeclaims",),
            volume(persistentVolumeClaim={"claimName": "absent"})),
        Way("volcano", "scheduler that does not exist", "schedulerName volcano", "scheduler-silent", ("schedulerName",),
            one(pod={"schedulerName": "volcano"})),
        Way("waits", "init container that does not end", "an init container that waits", "init-container-waiting",
            ("init_timeout_seconds", "logs --tail=20"), one(pod={"initContainers": [container("wait-for-db", ENDLESS)]}), "info"),
        Way("unready", "readiness probe that does not succeed", "a readiness probe that fails", "not-ready", ("is not ready",),
            one(**probe("readinessProbe", "no")), "info"),
        Way("liveness", "liveness probe that kills a container", "a liveness probe that says `db down`", "crash-loop",
            ("the probe in the manifest",), one("sleep 1000", **probe("livenessProbe", "db down"), pod=on_failure, job={"backoffLimit": 6}),
            "warning"),
        Way("memory-limit", "container that needs more memory than its limit", "a limit of 20Mi, restartPolicy OnFailure",
            "crash-loop", ("limits.memory", "OOMKilled"),
            one("x=a; while true; do x=$x$x$x; done", resources={"limits": {"memory": "20Mi"}}, pod=on_failure,
                job={"backoffLimit": 6}), "warning"),
        Way("prepare", "init container that fails, restartPolicy Never", "an init container that ends with 7",
            "backoff-waiting", ("retry",),
            one(pod={"initContainers": [container("prepare", "exit 7")]}, job={"backoffLimit": 6}), "info"),
        Way("indexes", "index that has failed", "index 3 of 5 ends with 3, backoffLimitPerIndex 0", "indexes-failed",
            ("failed: index 3",), without_limit, "warning"),
        Way("gated", "Pod with a scheduling gate", "a gate in the template", "scheduling-gated", ("schedulingGates",),
            one(pod={"schedulingGates": [{"name": "example.com/gate"}]}), "info"),
        Way("suspended", "suspended Job", "spec.suspend", "suspended", ('\\"suspend\\":false',),
            one(job={"suspend": True}), "info"),
        Way("by-hand", "Job that somebody has suspended", "kubectl patch", "suspended",
            ("suspended by `kubectl-patch` at", "First ask who suspended it"), one(), "info"),
        Way("paused", "Job of parallelism 0", "spec.parallelism 0", "parallelism-zero", ('\\"parallelism\\":1',),
            one(job={"parallelism": 0}), "info"),
        Way("elsewhere", "Job of another controller", "spec.managedBy", "managed-elsewhere", ("example.com/robot",),
            one(job={"managedBy": "example.com/robot"}), "info"),
        Way("init", "init container that fails", "an init container that ends with 7", "init-container-failing",
            ("`prepare`", "exit code 7", "--previous"),
            one(pod={"initContainers": [container("prepare", "exit 7")], **on_failure}, job={"backoffLimit": 6}),
            "warning"),
        Way("crash", "container that fails again and again", "a container that ends with 3, restartPolicy OnFailure",
            "crash-loop", ("`base`", "exit code 3"), one("exit 3", pod=on_failure, job={"backoffLimit": 6}), "warning"),
        Way("pauses", "pause between failed Pods", "a container that ends with 4, restartPolicy Never", "backoff-waiting",
            ("pause after the last",), one("exit 4", job={"backoffLimit": 6}), "info"),
        Way("deadline", "deadline that is near", "activeDeadlineSeconds 40", "deadline-near", ("activeDeadlineSeconds 40",),
            one(job={"activeDeadlineSeconds": 40}), "info"),
        Way("sidecar", "sidecar that does not end", "`base` ends, `proxy` runs on", "sidecar-keeps-pod-alive",
            ("`proxy`", "on_lingering_sidecar"), job_spec(container("base", "true"), container("proxy", ENDLESS)),
            "warning"),
    ]  # fmt: skip
    create(
        cluster,
        namespace,
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "pending"}, "spec": claim},
    )
    create(cluster, namespace, *(way.object() for way in ways))
    hook = {"postStart": {"exec": {"command": ["no-such-hook"]}}}
    create(
        cluster,
        namespace,
        Way("hook", "", "", "", (), one("sleep 1000", lifecycle=hook, job={"backoffLimit": 6})).object(),
    )
    cluster.kubectl("patch", "job", "by-hand", "-n", namespace, "--type=merge", "-p", '{"spec":{"suspend":true}}')
    check(command_line, ways, seconds=150)
    failed: dict[str, Any] = until(
        "the failed hook",
        lambda: doctor.find(doctor.look(command_line, "--job", "hook"), "hook", "backoff-waiting"),
        seconds=60,
    )
    assert "was killed: its postStart hook failed" in failed["cause"], failed
    saw("lifecycle hook that fails", "a postStart hook whose command does not exist", failed, AS_MEANT)


def test_pods_that_are_refused_are_told_with_who_refuses_them(
    cluster: OneNodeCluster, namespace: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        place = {
            case: stack.enter_context(cluster.namespace(f"refused-{case}"))
            for case in ("quota", "never", "demands", "psa", "limit", "hook")
        }
        place["account"] = place["priority"] = place["runtime"] = namespace
        quotas = {"quota": "pods=1", "never": "requests.cpu=1", "demands": "limits.cpu=2,requests.memory=1Gi"}
        for case, hard in quotas.items():
            cluster.kubectl("create", "quota", "team", f"--hard={hard}", "-n", place[case])
        cluster.kubectl("label", "namespace", place["psa"], "pod-security.kubernetes.io/enforce=restricted")
        limits = [{"type": "Container", "max": {"cpu": "100m"}}]
        cluster.apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}, "spec": {"limits": limits}},
                      namespace=place["limit"])  # fmt: skip
        stack.enter_context(broken_admission(cluster, place["hook"], "CREATE", "pods"))
        ways = {
            "quota": Way("quota", "quota that is used up", "a ResourceQuota of one Pod, and parallelism 2", "quota-exceeded",
                         ("exceeded quota: team", "describe resourcequota"),
                         one(job={"parallelism": 2, "completions": 2}), "warning"),
            "never": Way("never", "quota that one Pod exceeds", "a ResourceQuota of 1 CPU, and a request of 2",
                         "quota-never-fits", ("Waiting does not help",), one(resources={"requests": {"cpu": "2"}})),
            "demands": Way("demands", "quota that demands requests", "a ResourceQuota of limits.cpu and requests.memory",
                           "quota-demands-resources", ("container_resources",), one()),
            "priority": Way("priority", "missing PriorityClass", "a PriorityClass that is not there",
                            "priority-class-missing", ("get priorityclasses",), one(pod={"priorityClassName": "batch-low"})),
            "runtime": Way("runtime", "missing RuntimeClass", "a RuntimeClass that is not there", "runtime-class-missing",
                           ("get runtimeclasses",), one(pod={"runtimeClassName": "gvisor"})),
            "psa": Way("psa", "Pods that violate Pod Security", "the level `restricted`", "pod-security-refuses",
                       ("restricted", "RuntimeDefault"), one()),
            "limit": Way("limit", "Pods that a limit range refuses", "a LimitRange of 100m CPU", "pods-refused",
                         ("maximum cpu usage",), one(resources={"limits": {"cpu": "2"}})),
            "hook": Way("hook", "webhook that refuses Pods", "a webhook on CREATE of Pods that does not answer",
                        "webhook-refuses-pods", ("pods.create.example.com", "webhookconfigurations"), one()),
            "account": Way("account", "missing service account", "a service account that is not there",
                           "service-account-missing", ("create serviceaccount robot",),
                           one(pod={"serviceAccountName": "robot"})),
        }  # fmt: skip
        until(
            "the quotas in force",
            lambda: all(cluster.find("quota", place[case])[0].get("status") for case in quotas),
            seconds=20,
        )
        for case, way in ways.items():
            create(cluster, place[case], way.object())
        for case, way in ways.items():
            check(CommandLine(cluster.kubeconfig(), place[case], tmp_path), [way], seconds=60)


def test_deletion_that_admission_breaks_is_explained_and_freed(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    jobs = [Way(name, "", "", "", (), one()).object() for name in ("orphaned", "foreground")]
    create(cluster, namespace, *jobs)
    until("two Pods", lambda: sum(p["status"].get("phase") == "Running" for p in cluster.find("pods", namespace)) == 2,
          seconds=60)  # fmt: skip
    with broken_admission(cluster, namespace, "UPDATE", "jobs"):
        for job, cascade in (("orphaned", "orphan"), ("foreground", "foreground")):
            cluster.kubectl("delete", "job", job, "-n", namespace, f"--cascade={cascade}", "--wait=false")
        wanted = {
            ("orphaned", "finalizer-orphan-stuck"),
            ("orphaned", "webhook-breaks-job-update"),
            ("foreground", "finalizer-foreground-stuck"),
        }
        found = doctor.wait_for(command_line, wanted, seconds=60)
        hook = found["orphaned", "webhook-breaks-job-update"]
        assert "jobs.update.example.com" in json.dumps(hook), hook
        held = found["orphaned", "finalizer-orphan-stuck"]
        assert "no change of the Job passes admission" in held["cause"], held
        how = "a webhook on UPDATE of Jobs that does not answer, and DELETE without a policy"
        fixed = doctor.fix(command_line, "orphaned")
        assert "orphaned" not in names(cluster.jobs(namespace)), fixed
        saw("Job held by `orphan`, since a webhook breaks its changes", how, held, "freed the Job at once")
        saw("webhook that breaks changes of Jobs", how, hook, NOTHING)
        held = found["foreground", "finalizer-foreground-stuck"]
        fixed = doctor.fix(command_line, "foreground")
        assert fixed.code == 0 and "is gone" in fixed.stderr, fixed
        how = "the same webhook, and DELETE with the policy Foreground"
        saw("Job held by `foregroundDeletion` with no Pod left", how, held, "freed the Job at once")
    left = doctor.wait_for(command_line, {("orphaned", "pods-of-vanished-job")}, seconds=60)
    pods = left["orphaned", "pods-of-vanished-job"]
    assert pods["severity"] == "blocking" and "no owner" in json.dumps(pods), pods
    fixed = doctor.fix(command_line, "orphaned")
    assert fixed.code == 0 and "are gone" in fixed.stderr, fixed
    assert not cluster.find("pods", namespace, "batch.kubernetes.io/job-name=orphaned")
    saw("Pods whose Job is gone", "DELETE with the policy Orphan", pods, "deleted the Pods, confirmed")


def test_job_whose_pods_cannot_be_changed_or_that_cannot_be_deleted_is_explained(
    cluster: OneNodeCluster, namespace: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        uncounted = stack.enter_context(cluster.namespace("uncounted"))
        stack.enter_context(broken_admission(cluster, uncounted, "UPDATE", "pods"))
        stack.enter_context(broken_admission(cluster, namespace, "DELETE", "jobs"))
        create(cluster, uncounted, Way("ends", "", "", "", (), one("true")).object())
        create(
            cluster, namespace, Way("stays", "", "", "", (), one("true", job={"ttlSecondsAfterFinished": 1})).object()
        )
        call = CommandLine(cluster.kubeconfig(), uncounted, tmp_path)
        wanted = {("ends", "pod-job-tracking-stuck"), ("ends", "webhook-breaks-pod-update")}
        found = doctor.wait_for(call, wanted, seconds=90)
        tracking, hook = found["ends", "pod-job-tracking-stuck"], found["ends", "webhook-breaks-pod-update"]
        assert "no change of the Pod passes admission" in tracking["cause"], tracking
        assert "pods.update.example.com" in json.dumps(hook), hook
        how = "a webhook on UPDATE of Pods that does not answer"
        saw("Pod that has ended and is not counted, since a webhook breaks its changes", how, tracking, NOTHING)
        saw("webhook that breaks changes of Pods", how, hook, NOTHING)
        call = CommandLine(cluster.kubeconfig(), namespace, tmp_path)
        wanted = {("stays", "ttl-not-obeyed"), ("stays", "webhook-refuses-delete")}
        found = doctor.wait_for(call, wanted, seconds=90)
        overdue, hook = found["stays", "ttl-not-obeyed"], found["stays", "webhook-refuses-delete"]
        assert "jobs.delete.example.com" in overdue["cause"] and "jobs.delete.example.com" in json.dumps(hook)
        how = "a webhook on DELETE of Jobs that does not answer, and ttlSecondsAfterFinished 1"
        saw("TTL that is not obeyed, since a webhook refuses the deletion", how, overdue, NOTHING)
        saw("webhook that refuses the deletion", how, hook, NOTHING)


def test_finalizers_of_others_are_named_and_never_removed(
    command_line: CommandLine, cluster: OneNodeCluster, namespace: str
) -> None:
    held = one()
    held["template"]["metadata"] = {"finalizers": ["example.com/hold"]}
    backup = Way("backup", "", "", "", (), one("true"), metadata={"finalizers": ["example.com/backup"]})
    create(cluster, namespace, backup.object(), Way("hold", "", "", "", (), held).object())
    try:
        cluster.wait_until_running(namespace)
        # The sentence about a Job that has ended is another one.
        cluster.kubectl("wait", "--for=condition=Complete", "job/backup", "-n", namespace, "--timeout=60s")
        cluster.kubectl("delete", "job", "backup", "-n", namespace, "--cascade=background", "--wait=false")
        cluster.kubectl("delete", "job", "hold", "-n", namespace, "--cascade=foreground", "--wait=false")
        wanted = {
            ("backup", "foreign-finalizer"),
            ("hold", "pod-foreign-finalizer"),
            ("hold", "foreground-held-by-pods"),
        }
        found = doctor.wait_for(command_line, wanted, seconds=60)
        foreign = found["backup", "foreign-finalizer"]
        assert foreign["remedy"] is None and "/metadata/finalizers/0" in foreign["last_resort"], foreign
        assert "set by `kubectl-create` at" in foreign["cause"] and "metadata" not in foreign["next_step"], foreign
        fixed = doctor.fix(command_line, "backup")
        assert fixed.code == 1 and "Nothing of this can be put right" in fixed.stderr, fixed
        assert "backup" in names(cluster.jobs(namespace))
        saw("Job held by somebody's finalizer", "a finalizer `example.com/backup`, and DELETE", foreign, NOTHING)
        of_pod = found["hold", "pod-foreign-finalizer"]
        assert "example.com/hold" in of_pod["last_resort"], of_pod
        how = "a finalizer `example.com/hold` in the Pod template, and DELETE with the policy Foreground"
        saw("Pod held by somebody's finalizer", how, of_pod, NOTHING)
        by_pods = found["hold", "foreground-held-by-pods"]
        fixed = doctor.fix(command_line, "hold")
        assert "hold" not in names(cluster.jobs(namespace)), fixed
        assert cluster.find("pods", namespace, "batch.kubernetes.io/job-name=hold"), "its finalizer was not touched"
        saw("Job deleted in the foreground whose ended Pod does not go", how, by_pods, "freed the Job; the Pod stays")
        # The command for people takes it away, once they have asked its owner.
        command = foreign["last_resort"].split("  # ")[0].removeprefix("kubectl ")
        place, _, patch = command.partition(" -p ")
        cluster.kubectl(*place.split(), "-p", patch.strip("'"))
        cluster.wait_until_gone(namespace, "backup")
    finally:
        forget_finalizers(cluster, namespace)


def forget_finalizers(cluster: OneNodeCluster, namespace: str) -> None:
    """So that the namespace can go."""
    for kind in ("jobs", "pods"):
        for name in names(cluster.find(kind, namespace)):
            patch = '{"metadata":{"finalizers":null}}'
            cluster.kubectl("patch", kind, name, "-n", namespace, "--type=merge", "-p", patch)


def test_namespace_that_is_being_deleted_is_told_with_what_holds_it(cluster: OneNodeCluster, tmp_path: Path) -> None:
    with cluster.namespace("going") as namespace:
        held = {"name": "held", "namespace": namespace, "finalizers": ["example.com/hold"]}
        cluster.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": held})
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")
        try:
            call = CommandLine(cluster.kubeconfig(), namespace, tmp_path)
            told = until(
                "the condition of the namespace",
                lambda: "example.com/hold" in cluster.kubectl("get", "namespace", namespace, "-o", "json"),
                seconds=60,
            )
            assert told
            # No Job is left in it that could show it.
            finding = doctor.wait_for(call, {("", "namespace-terminating")}, seconds=60)["", "namespace-terminating"]
            assert "example.com/hold" in json.dumps(finding), finding
            saw("namespace that is being deleted", "DELETE of the namespace, held by a finalizer", finding, NOTHING)
        finally:
            cluster.kubectl(
                "patch", "configmap", "held", "-n", namespace, "--type=merge", "-p", '{"metadata":{"finalizers":null}}'
            )
