"""The result of a Job on a real cluster, where a real kubelet hands it over, cuts it, or has nothing to hand over."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from command_line import container, job_spec
from native_run import Follower, request
from one_node_cluster import IMAGE, OneNodeCluster
from unique_k8s_job import native
from unique_k8s_job.exceptions import JobResultError
from unique_k8s_job.task import job_result

FILE = native.RESULT_FILE
#: A sidecar has this time to print.
POD = {"terminationGracePeriodSeconds": 30}
DIGITS = f"head -c 4000 /dev/zero | tr '\\0' 7 > {FILE}"
OF_THE_CONNECTION: dict[str, Any] = {
    "resources": {"limits": {"memory": "20Mi"}},
    "security_context": {"runAsUser": 65534},
}
NOBODY = {"runAsUser": 65534, "readOnlyRootFilesystem": True}


@dataclass
class Written:
    """What a Job writes, and the value that the task returns; or the words of its error."""

    spec: dict[str, Any]
    value: Any = None
    words: list[str] = field(default_factory=list)
    source: str = "termination-message"
    #: What the connection says of the sidecar.
    sidecar: dict[str, Any] = field(default_factory=dict)


def one(script: str, **fields: Any) -> dict[str, Any]:
    return job_spec(container("base", script, **fields), pod=POD)


FIVE = job_spec(container("base", DIGITS), *(container(f"side{number}", "true") for number in range(4)), pod=POD)
INDEXED = {
    **one(f'echo "[$JOB_COMPLETION_INDEX]" > {FILE}'),
    "completionMode": "Indexed",
    "completions": 2,
    "parallelism": 2,
}

WRITTEN = {
    "value": Written(one(f"""echo '{{"rows": 3}}' > {FILE}"""), {"rows": 3}),
    "digits": Written(one(DIGITS), int("7" * 4000)),
    "five": Written(
        FIVE, words=["is too large: it has to be smaller than 2457 bytes", f"2457 bytes of {FILE} arrived"]
    ),
    "words": Written(one(f"echo three rows > {FILE}"), words=["is no JSON", f"{FILE} has: three rows"]),
    "indexed": Written(INDEXED, {"0": [0], "1": [1]}),
    "empty": Written(one(f": > {FILE}"), None),
    "nothing": Written(one("true"), None),
    # Whoever may write nothing else may write this file.
    "nobody": Written(one(f"echo 1 > {FILE}", securityContext=NOBODY), 1),
}
#: The same, and more, by a sidecar, which has no such limit.
BESIDE = {
    "large": Written(one(f"(printf '\"'; head -c 200000 /dev/zero | tr '\\0' x; printf '\"') > {FILE}"), "x" * 200000),
    "too-large": Written(one(f"head -c 300000 /dev/zero > {FILE}"), words=["is too large", "has 300000 bytes"]),
    "five-beside": Written(FIVE, int("7" * 4000)),
    "indexed-beside": Written(INDEXED, {"0": [0], "1": [1]}),
    "nobody-beside": Written(one(f"echo 1 > {FILE}; chmod 600 {FILE}", securityContext=NOBODY), 1),
    "nothing-beside": Written(one("echo a line"), None),
    "own-beside": Written(one(f"echo 1 > {FILE}"), 1, sidecar=OF_THE_CONNECTION),
}
for beside in BESIDE.values():
    beside.source = "sidecar"


def wanted(namespace: str, name: str, written: Written) -> dict[str, Any]:
    manifest = {"apiVersion": "batch/v1", "kind": "Job", "spec": json.loads(json.dumps(written.spec))}
    made = {**request(namespace, ""), "slug": name, "manifest": manifest, "arguments": {}}
    made["attempt"].update(max_tries=1, retries=1)
    return {**made, "result": written.source, "result_sidecar": {"image": IMAGE, **written.sidecar}}


def retry(of: dict[str, Any]) -> dict[str, Any]:
    return {**of, "attempt": {**of["attempt"], "try_number": 2, "instance": "second"}}


def test_result_is_what_the_base_container_wrote_whole_or_an_error_that_says_why(
    cluster: OneNodeCluster, namespace: str
) -> None:
    follower = Follower(cluster.kubeconfig())
    everything = {**WRITTEN, **BESIDE}
    requests = {name: wanted(namespace, name, written) for name, written in everything.items()}
    runs = {name: follower.start(made) for name, made in requests.items()}
    events = {name: list(Follower.events(run)) for name, run in runs.items()}
    wrong = [problem for name, written in everything.items() for problem in problems(written, events[name][-1])]
    assert not wrong, "\n".join(wrong)
    log = [event for event in events["nothing-beside"] if event["kind"] == "log"]
    assert [(event["container"], event["text"].strip()) for event in log] == [("base", "a line")], log

    own = cluster.find("pod", namespace, f"job-name={events['own-beside'][-1]['job']['name']}")[0]
    (sidecar,) = own["spec"]["initContainers"]
    assert sidecar["securityContext"] == OF_THE_CONNECTION["security_context"]
    assert sidecar["resources"]["limits"] == OF_THE_CONNECTION["resources"]["limits"]

    # An invalid result is a verdict, so its retry runs anew; a result that no task has recorded is used.
    runs["words"].acknowledge()
    for name, origin in (("words", "created"), ("value", "outcome_used"), ("large", "outcome_used")):
        again = follower.start(retry(requests[name]))
        assert Follower.until(again, "submitted")["origin"] == origin, name
        assert problems(everything[name], Follower.until(again, "outcome")) == []


def problems(written: Written, outcome: dict[str, Any]) -> list[str]:
    """What of an outcome is not as it was meant."""
    assert outcome["state"] == "succeeded", outcome["summary"]
    name = outcome["job"]["name"]
    try:
        value = job_result.result(outcome)
    except JobResultError as error:
        missing = [words for words in written.words or ["a value"] if words not in str(error)]
        return [f"{name}: no {words!r} in {error}" for words in missing]
    if written.words:
        return [f"{name}: {value} instead of an error"]
    return [] if value == written.value else [f"{name}: {value} instead of {written.value}"]
