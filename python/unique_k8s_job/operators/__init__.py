"""The operators: `job` runs a Job, `delete_job` deletes Jobs."""
