"""The decorators `@task.unique_k8s_job` and `@task.unique_k8s_job_cmd`."""
