//! The module `unique_k8s_job._core`: types in and out, the GIL, signals, errors. No policy.
//!
//! Promise: importing starts nothing; every wait releases the GIL and serves signals at least every 100 ms; a
//! forked child builds its own runtime and connections; a panic becomes an `InternalError`.
//! The stub `python/unique_k8s_job/_core.pyi` documents what is here for Python's readers.

#![allow(clippy::needless_pass_by_value, reason = "as PyO3 hands a request over")]

mod asyncio;
mod checked_request;
mod cluster;
mod debug_log;
mod doctor;
mod errors;
mod events;
mod find_jobs;
mod held;
mod loop_waker;
mod pure;
mod run;
mod runtime;
mod unattended;
mod values;
mod waiter;
mod work;

use pyo3::pymodule;

#[pymodule]
mod _core {
    #[pymodule_export]
    use super::{
        checked_request::CheckedRequest,
        cluster::Cluster,
        debug_log::{begin_debug_log, flush_debug_log},
        doctor::{Survey, examine_job, identity, list_jobs, remedy, rights},
        find_jobs::{find_jobs, find_jobs_async, patch_job},
        pure::{assemble, deployment_digest, job_arguments, job_name},
        run::{Run, destination, resume},
        unattended::Unattended,
        waiter::Waiter,
        work::{Work, delete_jobs},
    };
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        crate::panics::tell_by_place();
        let leave = wrap_pyfunction!(super::runtime::leave_python, module)?;
        module.py().import("atexit")?.call_method1("register", (leave,))?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("__commit__", env!("UNIQUE_K8S_JOB_COMMIT"))?;
        module.add("__kubernetes_api__", crate::resource::KUBERNETES_API)?;
        module.add("RESULT_FILE", crate::model::job_result::RESULT_FILE)
    }
}
