//! `Cluster`: where Jobs run, as Python holds it. Only the configuration, so that it survives a fork.

use std::time::Duration;

use pyo3::prelude::*;

use super::{errors::raised, runtime};
use crate::{
    cluster::{self, Configuration, Timing},
    error::{Error, Report},
    job::waiter::WaitingRoom,
};

#[pyclass(frozen, module = "unique_k8s_job._core")]
pub(super) struct Cluster {
    configuration: Configuration,
}

impl Cluster {
    /// The handle of this process.
    pub(super) fn handle(&self) -> Result<cluster::Cluster, Error> {
        runtime::cluster(&self.configuration)
    }

    /// Where those wait who wait in this process.
    pub(super) fn waiting_room(&self) -> Result<WaitingRoom, Error> {
        runtime::waiting_room(&self.configuration)
    }

    /// A handle for a person who waits: what does not answer soon is told instead of tried for a minute.
    pub(super) fn impatient(&self) -> cluster::Cluster {
        let timing =
            Timing { retry_for: Duration::from_millis(300), one_request: Duration::from_secs(15), ..Timing::default() };
        cluster::Cluster::new(self.configuration.clone(), timing, runtime::seed())
    }
}

#[pymethods]
impl Cluster {
    #[new]
    fn new(py: Python<'_>, configuration: &str) -> PyResult<Self> {
        let configuration = serde_json::from_str(configuration).map_err(|error| {
            let report = Report::new("The cluster configuration cannot be read").seen(error.to_string());
            raised(py, &Error::Configuration(Box::new(report)))
        })?;
        Ok(Self { configuration })
    }

    fn namespace(&self, py: Python<'_>) -> PyResult<String> {
        let cluster = self.handle().map_err(|error| raised(py, &error))?;
        runtime::wait(py, async move { cluster.namespace().await })
    }
}
