"""Links of a task in Airflow's user interface."""
