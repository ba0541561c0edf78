"""`unique-k8s-job migrate`: which characters of a DAG file change, and which lines a person is told about."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from click.testing import CliRunner

from unique_k8s_job.cli.command_line import commands
from unique_k8s_job.compat import KubernetesJobOperator, moved
from unique_k8s_job.compat.migration import migrate

#: The template fields of `KubernetesJobOperator` of cncf.kubernetes 10.25.0.
PROVIDERS_TEMPLATES = {
    *(
        "image",
        "name",
        "hostname",
        "cmds",
        "annotations",
        "arguments",
        "env_vars",
        "labels",
        "config_file",
        "namespace",
    ),
    *("job_template_file", "pod_template_file", "pod_template_dict", "container_resources", "volumes", "volume_mounts"),
    *("cluster_context", "env_from", "configmaps", "node_selector", "kubernetes_conn_id", "base_container_name"),
    "trigger_kwargs",
}

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


IMPORT = f"from {JOB} import KubernetesJobOperator as Job\n"


def told(text: str) -> list[tuple[int, bool, str]]:
    return [(note.line, note.by_hand, note.text) for note in migrate(IMPORT + text).notes]


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        ('with DAG("d", default_args={"wait_until_job_complete": True}):\n    Job(task_id="a")', None),
        ('ARGS = {"wait_until_job_complete": True}\nwith DAG("d", default_args=ARGS): Job(task_id="a")', None),
        ('ARGS = {"retries": 1}\nwith DAG("d", default_args=ARGS): Job(task_id="a")', "as before: give"),
        (
            'A = {"retries": 1}\nB = {**A, "wait_until_job_complete": True}\nd = DAG("d", default_args=B)\nJob(task_id="a", dag=d)',
            None,
        ),
        ('@dag(default_args=dict(wait_until_job_complete=True))\ndef d():\n    Job(task_id="a")', None),
        ('@dag\ndef d():\n    Job(task_id="a")', "as before: give"),
        (
            'with DAG("d"):\n    with TaskGroup("g", default_args={"wait_until_job_complete": True}):\n        Job(task_id="a")',
            None,
        ),
        (
            'with DAG("d"):\n    with TaskGroup("g", default_args={"wait_until_job_complete": True}): x\n    Job(task_id="a")',
            "as before: give",
        ),
        ('with DAG("d", default_args={"wait_until_job_complete": False}): Job(task_id="a")', None),
        ('Job(task_id="a", default_args={"a": 1} | {"wait_until_job_complete": True})', None),
        ('from ours import ARGS\nwith DAG("d", default_args=ARGS): Job(task_id="a")', "unless `default_args` set it"),
        (
            'ARGS = {}\nARGS["wait_until_job_complete"] = True\nwith DAG("d", default_args=ARGS): Job(task_id="a")',
            "unless `default_args` set it",
        ),
        ('def make(args):\n    with DAG("d", default_args=args): Job(task_id="a")', "unless `default_args` set it"),
        ('ARGS = {**ARGS}\nwith DAG("d", default_args=ARGS): Job(task_id="a")', "unless `default_args` set it"),
        ('with DAG("d", **more): Job(task_id="a")', "unless `default_args` set it"),
        ('def make():\n    return Job(task_id="a")', "unless `default_args` set it"),
        ('class Mine(Job): ...\nwith DAG("d"): Mine(task_id="a")', "as before: give"),
        ('class Mine(Job):\n    def __init__(self): ...\nwith DAG("d"): Mine(task_id="a")', None),
    ],
)
def test_task_that_waits_by_its_default_args_is_not_said_to_go_on(text: str, remark: str | None) -> None:
    found = [note for _, _, note in told(text) if "does not wait" in note]
    assert len(found) == (remark is not None)
    assert remark is None or remark in found[0]


@pytest.mark.parametrize(
    ("text", "remark"),
    [
        (f"from {JOB} import *", "import the classes by their names: `from unique_k8s_job.compat import"),
        (f'importlib.import_module("{JOB}")', "write `unique_k8s_job.compat`"),
        (
            f'mock.patch("{JOB}.KubernetesJobOperator.execute")',
            "write `unique_k8s_job.compat.KubernetesJobOperator.execute`",
        ),
        (f'mock.patch("{JOB}.KubernetesHook")', f"`{JOB}.KubernetesHook` is not used by the classes"),
    ],
)
def test_other_ways_to_name_the_module_are_to_be_changed_by_hand(text: str, remark: str) -> None:
    (found,) = migrate(f"'Uses {JOB}'\n{text}\n").notes
    assert (found.line, found.by_hand) == (2, True) and remark in found.text


def test_text_that_has_the_module_somewhere_is_only_told() -> None:
    (found,) = migrate(f'CODE = "from {JOB} import KubernetesJobOperator"\n').notes
    assert (found.by_hand, "if it is code" in found.text) == (False, True)


SUBCLASS = """\
class Mine(Job):
    POD_CHECKED_KEY = "mine"
    def execute(self, context):
        self.log.info(self.name)
        made = super().execute(context)
        self.create_job(self.build_job_request_obj(context))
        self.job and self.job.metadata.name and self.job.status.succeeded and self.pods
        return self.job.metadata.labels.get("a"), self.wait_until_job_complete
class Another(Mine):
    def execute_complete(self, context, event):
        self.pod = None
        return super().extract_xcom(self.pod)
class Theirs(BaseOperator):
    def execute(self, context): return self.job
"""


def test_reads_of_what_only_the_provider_has_are_to_be_changed_by_hand() -> None:
    expected = [
        (3, "`POD_CHECKED_KEY` is never read: use `reattach`"),
        (7, "`self.build_job_request_obj` does not exist: give `manifest`, or override `manifest_parts`"),
        (7, "`self.create_job` does not exist: give `manifest`, or override `manifest_parts`"),
        (8, "`self.job.status` does not exist: it has only `metadata.name`"),
        (8, "`self.pods` does not exist: there is no Pod object"),
        (9, "`self.job.metadata.labels` does not exist: it has only `metadata.name`"),
        (13, "`super().extract_xcom` does not exist: use the return value of the task"),
    ]
    for (line, by_hand, text), (row, words) in zip(told(SUBCLASS), expected, strict=True):
        assert (line, by_hand) == (row, True) and text.startswith(words), text


@pytest.mark.parametrize(
    ("pull", "by_hand"),
    [
        ('ti.xcom_pull(task_ids="a", key="job")', True),
        ('ti.xcom_pull("a", key="job")', True),
        ('ti.xcom_pull(key="job", task_ids="other")', False),
        ('XComArg(task, "job")', False),
        ("X(\"{{ ti.xcom_pull(task_ids='a', key='job')['status'] }}\")", True),
        ("X(\"{{ ti.xcom_pull(key='job') }}\")", False),
        ("X(\"{{ ti.xcom_pull('a', key='job_name') }} {{\")", None),
        ("X(\"{{ ti.xcom_pull('a', key='job_name') }}\")", None),
        ('ti.xcom_pull(task_ids="a", key="job_outcome")', None),
    ],
)
def test_pull_of_the_whole_job_is_told(pull: str, by_hand: bool | None) -> None:
    found = [
        (line, hand) for line, hand, text in told(f'Job(task_id="a", **more)\n{pull}\n') if "`job_outcome`" in text
    ]
    assert found == ([] if by_hand is None else [(3, by_hand)])
    assert not migrate(f"{pull}\n").notes, "a file without our classes has Jobs of others"


def test_result_is_told_once_a_file_and_each_indexed_job() -> None:
    given = "task_id='a', wait_until_job_complete=True, do_xcom_push=True"
    found = told(
        f"Job({given})\nJob({given}, completion_mode='Indexed')\nJob({given}, xcom='sidecar')\nJob(task_id='b')\n"
    )
    assert [(line, hand) for line, hand, text in found if "fewer than 4,096 bytes" in text] == [(2, False)]
    assert [(line, hand) for line, hand, text in found if "a dict by index" in text] == [(3, False)]
    assert not [text for *_, text in told(f"Job({given}, xcom='sidecar')\n") if "4,096" in text]


def test_braces_in_what_was_no_template_are_told() -> None:
    text = """\
INIT = V1Container(args=["{{ .Names }}"])
Job(init_containers=[INIT], arguments=["{{ ds }}"], tolerations=[{"key": "a"}], wait_until_job_complete=True)
Job(init_containers=[{"args": ["{% raw %}{{ a }}{% endraw %}"]}, {"args": ["${#A}"]}], wait_until_job_complete=True)
"""
    found = [(line, hand) for line, hand, text in told(text) if "`init_containers` is a template here" in text]
    assert found == [(2, False), (4, False)] and len(told(text)) == 2


def test_templates_only_here_are_those_that_the_provider_does_not_have() -> None:
    assert [name for name in moved.TEMPLATES_ONLY_HERE if name in PROVIDERS_TEMPLATES] == []
    ours = {*KubernetesJobOperator.template_fields} & {*inspect.signature(KubernetesJobOperator.__init__).parameters}
    assert ours - PROVIDERS_TEMPLATES == {*moved.TEMPLATES_ONLY_HERE}


def test_limit_of_the_start_is_told_with_both_its_parts() -> None:
    text = "with DAG('d'): Job(startup_timeout_seconds=8, wait_until_job_complete=True)\n"
    assert [
        note for *_, note in told(text) if "`startup_timeout_seconds=8` limits the start of the Job to 8 + 8 s" in note
    ]
    assert not told(text.replace("seconds=8", "seconds=8, schedule_timeout_seconds=2"))


def test_folder_is_walked(tmp_path: Path) -> None:
    for name in ("a.py", "sub/b.py", "notes.txt", ".hidden/c.py", "__pycache__/d.py", "none/e.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n" if name == "none/e.py" else IMPORT)
    ended = CliRunner().invoke(commands, ["migrate", "--write", str(tmp_path)], standalone_mode=False)
    assert (ended.exception, ended.return_value) == (None, 0)
    assert ended.output.count("+from unique_k8s_job.compat") == 2
    assert ended.output.endswith(f"{tmp_path}: files with nothing to change: 1\n")
    written = sorted(file.name for file in tmp_path.rglob("*") if file.is_file() and "compat" in file.read_text())
    assert written == ["a.py", "b.py"]


def test_documented_override_is_found() -> None:
    page = (Path(__file__).parents[2] / "docs/migrate.md").read_text()
    before = next(code for code in page.split("```") if "def build_job_request_obj" in code)
    found = told(before.removeprefix("python").replace("KubernetesJobOperator", "Job"))
    assert [(by_hand, text.split(":")[0]) for _, by_hand, text in found] == [
        (True, "`build_job_request_obj` is never called"),
    ]


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
