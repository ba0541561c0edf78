"""Ends what a killed test run may have left: the clusters and the Airflows of the tests. Safe in any state.

Suites that ran side by side had clusters of their own: `test`, `test-2`, and so on.
"""

from __future__ import annotations

from airflow_server import AirflowServer, state_folder
from one_node_cluster import OneNodeCluster, name_for_tests

if __name__ == "__main__":
    for name in [name_for_tests(), f"{name_for_tests()}-2"]:
        for home in [state_folder(name), *state_folder(name).parent.glob(f"{name}-*.*.*")]:
            AirflowServer(home, dag_folders={}).end_leftovers()
        cluster = OneNodeCluster.existing(name)
        if cluster is not None:
            cluster.down()
