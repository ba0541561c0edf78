"""Makes the request that starts a run: one dict, the whole contract with the Rust core.

Keys: `attempt` (who asks), `slug` (what the name begins with), `default_slug` (where nothing else says it),
`fixed_name` (the whole name, instead of a unique one), `run_time`, `namespace`, `manifest` (what the user gave: a Job,
a CronJob, a List with one of them), `overlays` (parts of a Job that are laid over it), `from_cron_job`,
`pod_template` (what the installation's `pod_mutation_hook` has made of it; only of the classes of `compat`), `field_validation`, `arguments` (only what was given), `ttl` and `on_finish` (each by outcome), `safe_ttl_seconds`,
`patch_jobs`, `marking` (labels and annotations that the installation wants), `policy`, `lookup`, `known_names`,
`startup_timeout_seconds`, `init_timeout_seconds`, `queue_name` and `queue_timeout_seconds` (of Kueue), `handover_timeout_seconds`, `replace_lost`, `release_stuck`,
`release_after_seconds`, `on_lingering_sidecar`, `result` (where it is read from), `result_sidecar`, `get_logs`,
`container_logs` and `init_container_logs` (of which of them), `log_format`, `running_clear_is_visible`. The Rust side
refuses keys that it does not know, so no key can be misspelled unseen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from unique_k8s_job.manifest.plain import plain

if TYPE_CHECKING:
    from unique_k8s_job._core import JobRequest


def foreign_job(job: Mapping[str, Any], *, until: str, get_logs: bool) -> str:
    """Make the request of a Waiter for a Job that is not ours: no owner, so nothing is ever written to it."""
    return json.dumps({"version": 1, "job": dict(job), "owner": None, "until": until, "get_logs": get_logs})


def plain_request(request: JobRequest) -> JobRequest:
    """Return a request with plain values of JSON alone.

    :raises InvalidManifestError: if it holds something that JSON cannot, naming it
    """
    return cast("JobRequest", {key: plain(key, value) for key, value in request.items()})
