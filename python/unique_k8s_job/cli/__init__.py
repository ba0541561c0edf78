"""The command line `unique-k8s-job`. Imports nothing of Airflow but what `doctor` asks it for."""
