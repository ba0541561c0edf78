"""Ends what a killed test run may have left: the cluster `test` and the Airflow of the tests. Safe in any state."""

from __future__ import annotations

from airflow_server import AirflowServer, state_folder
from one_node_cluster import OneNodeCluster, name_for_tests

if __name__ == "__main__":
    name = name_for_tests()
    AirflowServer(state_folder(name), dag_folders={}).end_leftovers()
    cluster = OneNodeCluster.existing(name)
    if cluster is not None:
        cluster.down()
