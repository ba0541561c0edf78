"""What a task needs of Airflow, in the worker and in the triggerer: its context, settings, state and log, and what a stop means."""
