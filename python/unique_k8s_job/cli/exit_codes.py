"""Defines the exit codes of the command line. They are stable, so that scripts and cron jobs can use them.

| code | `run` | `delete` | `doctor` |
|---|---|---|---|
| 0 | the Job succeeded | all are gone, or none fitted | nothing is stuck |
| 1 | the Job failed, and no single exit code says how | a Job, or work of one, is still there | something is stuck |
| 124 | `--timeout` passed | | |
| 125 | an error of ours, of the cluster or of the call; a stream that takes no more text | the same | the same |
| 130 | interrupted by SIGINT, SIGTERM, SIGHUP or SIGQUIT | the same | the same |

`list` ends with 0, 125 or 130; `migrate` also with 1, if something is left to change by hand. `run` also ends with the exit code
of its container if exactly one Pod failed.
"""

from __future__ import annotations

SUCCESS = 0
#: From `run`: the Job failed.
JOB_FAILED = 1
#: From `delete` and `doctor`: something is still there, or stuck.
STUCK = 1
TIMEOUT = 124
OUR_ERROR = 125
INTERRUPTED = 130
