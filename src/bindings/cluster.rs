//! `Cluster`: where Jobs run, as Python holds it. Only the configuration, so that it survives a fork.

use std::time::Duration;

use pyo3::prelude::*;

use super::{runtime, values::Request};
use crate::{
    cluster::{self, Configuration, Timing},
    error::Error,
    session::waiter::SharedWatches,
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

    /// The watches that all waiters of this process share.
    pub(super) fn shared_watches(&self) -> Result<SharedWatches, Error> {
        runtime::shared_watches(&self.configuration)
    }

    /// A handle for interactive commands: a failure is reported after 0.3 s of retries instead of a minute.
    pub(super) fn impatient(&self) -> cluster::Cluster {
        let timing =
            Timing { retry_for: Duration::from_millis(300), one_request: Duration::from_secs(15), ..Timing::default() };
        cluster::Cluster::new(self.configuration.clone(), timing, runtime::seed())
    }
}

#[pymethods]
impl Cluster {
    #[new]
    fn new(py: Python<'_>, configuration: Request) -> PyResult<Self> {
        let configuration = runtime::done(py, || Configuration::read(&configuration.0))?;
        Ok(Self { configuration })
    }

    fn namespace(&self, py: Python<'_>) -> PyResult<String> {
        let cluster = runtime::done(py, || self.handle())?;
        runtime::wait(py, async move { cluster.namespace().await.map(String::from) })
    }
}
