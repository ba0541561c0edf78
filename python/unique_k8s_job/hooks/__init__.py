"""The hook: from a connection of Airflow to a cluster."""
