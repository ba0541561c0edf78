"""The link "Kubernetes Job" of a task, by `[unique_k8s_job] job_url_template`. It asks no cluster.

Promise: without the option there is no link, and nothing is stored for it. A template that is wrong makes a wrong link,
and never fails a task.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from unique_k8s_job.task.compat import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey

#: The XCom that has the URL.
JOB_URL = "job_url"


class KubernetesJobLink(BaseOperatorLink):
    """The page of the Job in a dashboard."""

    @property
    def name(self) -> str:
        """Return what Airflow shows."""
        return "Kubernetes Job"

    @property
    def xcom_key(self) -> str:
        """Return where Airflow 3 keeps the URL: there it is also while the Job runs."""
        return JOB_URL

    def get_link(self, operator: Any, *, ti_key: TaskInstanceKey) -> str:
        """Return the URL, or an empty text if there is no Job.

        Airflow 3 asks in the process of the task, as it ends. Airflow 2 asks in the webserver, which has only the XCom.
        """
        known = getattr(operator, "job_url", None)
        if known is None:
            from airflow.models.xcom import XCom

            known = XCom.get_value(ti_key=ti_key, key=JOB_URL)
        return str(known or "")


def job_url(template: str, values: Mapping[str, object]) -> str:
    """Put values into the URL. Other braces stay, because dashboards have queries in JSON."""
    for name, value in values.items():
        template = template.replace(f"{{{name}}}", quote(str(value), safe=""))
    return template
