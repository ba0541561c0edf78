//! `Unattended`: the Jobs of a namespace that nobody waits for in this process.

use pyo3::{prelude::*, types::PyList};
use serde_json::{Value, json};

use super::{cluster::Cluster, held::Held, runtime, values::python};
use crate::{follow::shared_watch, identity::InvalidName, model::observed_job::ObservedJob};

#[pyclass(frozen, module = "unique_k8s_job._core")]
pub(super) struct Unattended(Held<shared_watch::Unattended>);

#[pymethods]
impl Unattended {
    #[new]
    fn new(py: Python<'_>, cluster: &Cluster, namespace: &str) -> PyResult<Self> {
        let namespace = runtime::done(py, || {
            let namespace = namespace.parse().map_err(|invalid: InvalidName| invalid.in_configuration())?;
            let _entered = runtime::runtime()?.enter();
            Ok(cluster.shared_watches()?.hubs.unattended(&namespace))
        })?;
        Ok(Self(Held::new("Unattended", namespace)))
    }

    fn jobs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let jobs: Vec<Value> = self.0.get(py)?.jobs().iter().filter_map(|job| of_task(job)).collect();
        Ok(python(py, &jobs)?.cast_into()?)
    }
}

fn of_task(job: &ObservedJob) -> Option<Value> {
    let metadata = job.attempt_metadata.as_ref()?;
    let task = metadata.task.as_ref()?;
    Some(json!({
        "job": job.reference,
        "owner": metadata.owner.to_string(),
        "dag_id": task.dag_id,
        "run_id": task.run_id,
        "task_id": task.task_id,
        "map_index": task.map_index,
        "try_number": metadata.try_number,
    }))
}
