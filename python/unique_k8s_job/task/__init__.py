"""Gives a task all that it needs of Airflow: its context, settings, state and log, and what a stop means."""
