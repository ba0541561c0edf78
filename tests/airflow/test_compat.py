"""The system-test DAG of cncf.kubernetes, as its source distribution has it, with its import swapped."""

from __future__ import annotations

import ast
from pathlib import Path

from airflow_client import AirflowClient, TaskInstance
from one_node_cluster import IMAGE, OneNodeCluster, names
from provider_source import source, text_of

DAG_FILE = "tests/system/cncf/kubernetes/example_kubernetes_job.py"
DAG_ID = "example_kubernetes_job_operator"


class Swapped(ast.NodeTransformer):
    """Swaps the import, and what this cluster does not have: the image with its command, and the namespace.

    What the file needs of the provider's own test harness is left out.
    """

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        module = node.module or ""
        if module.startswith("airflow.providers.cncf.kubernetes"):
            node.module = "unique_k8s_job.compat"
        return None if module.startswith("tests_common") else node

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if "watcher()" in ast.unparse(node) else self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        return None if "get_test_run" in ast.unparse(node) else self.generic_visit(node)

    def visit_List(self, node: ast.List) -> ast.AST:
        if [item.value for item in node.elts if isinstance(item, ast.Constant)][:1] == ["perl"]:
            # Long enough for a deferral, however slow the worker is.
            return ast.parse("['sh', '-c', 'sleep 5; echo 3.14159']", mode="eval").body
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        swapped: dict[object, str] = {"perl:5.34.0": IMAGE, "default": self.namespace}
        return ast.Constant(swapped[node.value]) if node.value in swapped else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if any(keyword.arg == "deferrable" for keyword in node.keywords):
            # So short a Job would not defer.
            node.keywords.append(ast.keyword("defer_after_seconds", ast.Constant(0)))
        return node


def test_system_test_dag_of_the_provider_runs_green_with_its_import_swapped(
    airflow: AirflowClient,
    generated_dags: Path,
    cluster: OneNodeCluster,
    namespace: str,
) -> None:
    tree = Swapped(namespace).visit(ast.parse(text_of(source(), DAG_FILE)))
    (generated_dags / "example_kubernetes_job.py").write_text(ast.unparse(ast.fix_missing_locations(tree)))
    airflow.wait_for_dag(DAG_ID)
    run_id = airflow.trigger(DAG_ID)
    state = airflow.wait_for_run(DAG_ID, run_id)
    tasks = ["job-task", "update-job-task", "job-task-def", "delete_job_task", "delete_job_task_def"]
    logs = {task: airflow.log(TaskInstance(DAG_ID, run_id, task)) for task in tasks}
    assert state == "success", f"{airflow.states(DAG_ID, run_id)}\n" + "\n\n".join(logs.values())
    assert airflow.states(DAG_ID, run_id) == dict.fromkeys(tasks, "success")
    assert "The task does not wait for the Job" in logs["job-task"]
    assert "The triggerer follows the Job" in logs["job-task-def"] and "3.14159" in logs["job-task-def"]
    assert "is gone, and its work has stopped" in logs["delete_job_task_def"]
    assert names(cluster.jobs(namespace)) == []
