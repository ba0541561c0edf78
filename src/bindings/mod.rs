//! The module `unique_k8s_job._core`: types in and out, the GIL, signals, errors. No policy.
//!
//! Promise: importing starts nothing; every wait releases the GIL and serves signals at least every 100 ms; a
//! forked child builds its own runtime and connections; a panic becomes an `InternalError`.
//! The stub `python/unique_k8s_job/_core.pyi` documents what is here for Python's readers.

mod asyncio;
mod bell;
mod cluster;
mod doctor;
mod errors;
mod events;
mod look;
mod pure;
mod run;
mod runtime;
mod waiter;
mod work;

use pyo3::pymodule;

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::cluster::Cluster;
    #[pymodule_export]
    use super::doctor::{examine_job, remedy, rights, survey};
    #[pymodule_export]
    use super::look::{alook, look};
    #[pymodule_export]
    use super::pure::{assemble, deployment_digest, job_name};
    #[pymodule_export]
    use super::run::{Run, resume};
    #[pymodule_export]
    use super::waiter::Waiter;
    #[pymodule_export]
    use super::work::{Work, delete_jobs};
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
