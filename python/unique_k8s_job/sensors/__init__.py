"""The sensor: `job` waits for Jobs that others made."""
