//! What `unique-k8s-job doctor` asks for: findings about one Job or all, remedies, rights. Each call waits for its
//! answer and serves signals meanwhile.

use std::time::Duration;

use pyo3::prelude::*;
use serde_json::{Value, json};

use super::{
    cluster::Cluster,
    errors::{python, raised},
    runtime,
};
use crate::{
    error::Error,
    job::{
        diagnosis::{Facts, Remedy, Unknown, findings},
        examine::{self, survey::survey as survey_of},
        remedy::carry_out,
        rights::rights as rights_of,
        seen::JobReference,
    },
};

/// Every Job with findings, of one namespace or, for an empty name, of all.
#[pyfunction]
pub(super) fn survey<'py>(py: Python<'py>, cluster: &Cluster, namespace: String) -> PyResult<Bound<'py, PyAny>> {
    let cluster = cluster.impatient();
    let answer = runtime::wait(py, async move {
        let survey = match survey_of(&cluster, &namespace).await {
            Ok(survey) => survey,
            Err(error) => return Err(examine::with_readiness(&cluster, error).await),
        };
        Ok(json!({
            "time": cluster.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "jobs": survey.jobs,
            "diagnoses": survey.diagnoses,
            "unknown": words(&survey.unknown),
        }))
    })?;
    python(py, &answer)
}

/// One Job by its name, or what a Job of that name has left behind; None where neither exists.
#[pyfunction]
pub(super) fn examine_job<'py>(
    py: Python<'py>,
    cluster: &Cluster,
    namespace: String,
    name: String,
) -> PyResult<Bound<'py, PyAny>> {
    let cluster = cluster.impatient();
    let answer = runtime::wait(py, async move {
        let facts = match examine::by_name(&cluster, &namespace, &name).await {
            Ok(facts) => facts,
            Err(error) => return Err(examine::with_readiness(&cluster, error).await),
        };
        Ok(json!({
            "time": cluster.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "jobs": facts.iter().filter(|facts| facts.job.is_some()).count(),
            "diagnoses": facts.iter().map(diagnosis).collect::<Vec<_>>(),
            "unknown": words(&facts.iter().flat_map(Facts::unknown).collect::<Vec<_>>()),
        }))
    })?;
    python(py, &answer)
}

fn diagnosis(facts: &Facts) -> Value {
    json!({"job": facts.reference, "findings": findings(facts)})
}

fn words(unknown: &[Unknown]) -> Vec<String> {
    unknown.iter().map(ToString::to_string).collect()
}

/// Carries out one remedy for one Job, given as a JSON object with `remedy` and `job`.
#[pyfunction]
pub(super) fn remedy<'py>(
    py: Python<'py>,
    cluster: &Cluster,
    request: &str,
    confirm_for: f64,
) -> PyResult<Bound<'py, PyAny>> {
    #[derive(serde::Deserialize)]
    struct Request {
        remedy: Remedy,
        job: JobReference,
    }
    let request: Request = serde_json::from_str(request)
        .map_err(|error| raised(py, &Error::internal(format!("a remedy that is not understood: {error}"))))?;
    let within = Duration::try_from_secs_f64(confirm_for.max(0.0)).unwrap_or(Duration::MAX);
    let cluster = cluster.impatient();
    let carried = runtime::wait(py, async move { carry_out(&cluster, &request.job, request.remedy, within).await })?;
    python(py, &json!(carried))
}

/// Who the identity of this cluster is, and which rights it has.
#[pyfunction]
pub(super) fn rights<'py>(py: Python<'py>, cluster: &Cluster, namespace: String) -> PyResult<Bound<'py, PyAny>> {
    let cluster = cluster.impatient();
    let answer = runtime::wait(py, async move { rights_of(&cluster, &namespace).await })?;
    python(py, &json!(answer))
}
