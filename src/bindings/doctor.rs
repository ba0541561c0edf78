//! What `unique-k8s-job doctor` asks for: findings about one Job or all, remedies, rights. Each call waits for its
//! answer and serves signals meanwhile.

use std::time::Duration;

use pyo3::prelude::*;
use serde::Serialize;
use serde_json::json;

use super::{
    cluster::Cluster,
    errors::{python, raised},
    runtime,
};
use crate::{
    cluster,
    error::Error,
    job::{
        diagnosis::{Finding, Remedy, Severity},
        examine::{
            self,
            survey::{Diagnosis, Survey, survey as survey_of},
        },
        remedy::carry_out,
        rights::rights as rights_of,
        seen::JobReference,
    },
};

/// What `--json` prints. Keys may be added under the same number; none is taken away or changed in meaning.
#[derive(Serialize)]
struct Report {
    schema_version: u32,
    time: String,
    namespace: Option<String>,
    jobs: usize,
    stuck: usize,
    diagnoses: Vec<Diagnosis>,
    unknown: Vec<String>,
}

impl Report {
    fn new(cluster: &cluster::Cluster, namespace: String, survey: Survey) -> Self {
        let blocks = |finding: &Finding| finding.severity == Severity::Blocking;
        Self {
            schema_version: 1,
            time: cluster.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            namespace: Some(namespace).filter(|name| !name.is_empty()),
            jobs: survey.jobs,
            stuck: survey.diagnoses.iter().filter(|diagnosis| diagnosis.findings.iter().any(blocks)).count(),
            diagnoses: survey.diagnoses,
            unknown: survey.unknown.iter().map(ToString::to_string).collect(),
        }
    }

    /// As text, since thousands of Jobs as Python objects take more memory than all else; and how many are stuck.
    fn written(&self) -> Result<(String, usize), Error> {
        let text = serde_json::to_string(self).map_err(|error| Error::internal(error.to_string()))?;
        Ok((text, self.stuck))
    }
}

/// Every Job with findings, of one namespace or, for an empty name, of all.
#[pyfunction]
pub(super) fn survey(py: Python<'_>, cluster: &Cluster, namespace: String) -> PyResult<(String, usize)> {
    let cluster = cluster.impatient();
    runtime::wait(py, async move {
        match survey_of(&cluster, &namespace).await {
            Ok(survey) => Report::new(&cluster, namespace, survey).written(),
            Err(error) => Err(examine::with_readiness(&cluster, error).await),
        }
    })
}

/// One Job by its name, and what Jobs of that name have left behind.
#[pyfunction]
pub(super) fn examine_job(
    py: Python<'_>,
    cluster: &Cluster,
    namespace: String,
    name: String,
) -> PyResult<(String, usize)> {
    let cluster = cluster.impatient();
    runtime::wait(py, async move {
        match examine::by_name(&cluster, &namespace, &name).await {
            Ok(facts) => Report::new(&cluster, namespace, Survey::of(&facts)).written(),
            Err(error) => Err(examine::with_readiness(&cluster, error).await),
        }
    })
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
