"""`unique-k8s-job migrate`: which characters of a DAG file change, and which lines a person is told about."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from unique_k8s_job.cli.command_line import commands
from unique_k8s_job.compat.migration import migrate

JOB = "airflow.providers.cncf.kubernetes.operators.job"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"from {JOB} import KubernetesJobOperator\n", "from unique_k8s_job.compat import KubernetesJobOperator\n"),
        (
            f"from {JOB} import (  # why\n    KubernetesJobOperator,\n    KubernetesPatchJobOperator as Patch,\n)\nx = 'é'\n",
            (
                "from unique_k8s_job.compat import (  # why\n    KubernetesJobOperator,\n    KubernetesPatchJobOperator as Patch,\n)\n"
                "x = 'é'\n"
            ),
        ),
        (
            f"'é'; from  {JOB}  import KubernetesDeleteJobOperator; y = 1\r\n",
            "'é'; from  unique_k8s_job.compat  import KubernetesDeleteJobOperator; y = 1\r\n",
        ),
        (
            f"if True:\n    from {JOB} import KubernetesJobOperator as K, JOB_NAME_PREFIX\n",
            f"if True:\n    from unique_k8s_job.compat import KubernetesJobOperator as K\n    from {JOB} import JOB_NAME_PREFIX\n",
        ),
        (
            f"x = '\x0c\u2028'\nfrom {JOB} import KubernetesJobOperator\n",
            "x = '\x0c\u2028'\nfrom unique_k8s_job.compat import KubernetesJobOperator\n",
        ),
        (f'"""from {JOB} import KubernetesJobOperator"""\n', f'"""from {JOB} import KubernetesJobOperator"""\n'),
        (
            "from airflow.providers.cncf.kubernetes.operators.kueue import KubernetesStartKueueJobOperator\n",
            "from unique_k8s_job.compat import KubernetesStartKueueJobOperator\n",
        ),
        (f"from {JOB} import JOB_NAME_PREFIX\n", f"from {JOB} import JOB_NAME_PREFIX\n"),
        ("from airflow.sdk import DAG\n", "from airflow.sdk import DAG\n"),
    ],
)
def test_only_imports_change_and_every_other_character_stays(before: str, after: str) -> None:
    assert migrate(before).text == after
    assert migrate(after).text == after, "a second time changes nothing"


DAG = f"""\
import {JOB}
from airflow.providers.cncf.kubernetes.secret import Secret
from {JOB} import KubernetesJobOperator as Job

class Mine(Job):
    def execute(self, context): ...
    def build_pod_request_obj(self, context=None): ...

Job(task_id="a", job_poll_interval=5, log_pod_spec_on_failure=False)
Job.partial(task_id="b", wait_until_job_complete=True, poll_interval=3).expand(arguments=[])
Job(task_id="c", wait_until_job_complete=True, xcom_sidecar_container_security_context=context)
Job(task_id="d", wait_until_job_complete=True, xcom_sidecar_container_security_context=context, xcom="sidecar")
"""


def test_what_a_person_has_to_know_is_told_by_its_line() -> None:
    told = [(note.line, note.by_hand, note.text) for note in migrate(DAG).notes]
    expected = [
        (1, True, "import the classes by their names"),
        (2, False, "`Secret` still comes from cncf.kubernetes"),
        (7, True, "`build_pod_request_obj` is never called"),
        (9, False, "`job_poll_interval` has no effect"),
        (9, False, "the task does not wait"),
        (10, False, "`poll_interval` has no effect"),
        (11, False, "`xcom_sidecar_container_security_context` has no effect: the task has no sidecar"),
    ]
    assert [(line, by_hand) for line, by_hand, _ in told] == [(line, by_hand) for line, by_hand, _ in expected]
    for (_, _, text), (_, _, words) in zip(told, expected, strict=True):
        assert words in text


def test_command_shows_and_writes_only_if_asked(tmp_path: Path) -> None:
    file, broken = tmp_path / "dag.py", tmp_path / "broken.py"
    file.write_text(f"from {JOB} import KubernetesJobOperator\n")
    broken.write_text("def (\n")

    def run(*arguments: str) -> tuple[int, str]:
        ended = CliRunner().invoke(commands, ["migrate", *arguments], standalone_mode=False)
        assert ended.exception is None, ended.exception
        return ended.return_value, ended.output

    before = file.read_text()
    code, out = run(str(file))
    assert (code, file.read_text()) == (0, before) and "+from unique_k8s_job.compat import" in out
    code, out = run("--write", str(file))
    assert (code, file.read_text()) == (0, "from unique_k8s_job.compat import KubernetesJobOperator\n")
    assert "nothing to change" in run(str(file))[1]
    file.write_text(DAG)
    code, out = run(str(file))
    assert code == 1 and f"{file}:7: change this: `build_pod_request_obj` is never called" in out
    code, out = run(str(broken), str(file))
    assert code == 125 and "broken.py: " in out and f"{file}:7" in out


@pytest.mark.parametrize("text", ["x = '\0'\n", "(" * 100_000, "é = b'é'\n", "\x80"])
def test_file_that_is_no_python_ends_with_a_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "dag.py"
    file.write_bytes(text.encode("latin-1"))
    for name in (str(file), "/dev/zero"):
        ended = CliRunner().invoke(commands, ["migrate", name], standalone_mode=False)
        assert (ended.exception, ended.return_value) == (None, 125), ended.output
        assert ended.output.startswith(f"{name}: ") and ended.output.count("\n") == 1
