//! What `unique-k8s-job doctor` asks for: findings about one Job or all, remedies, rights. Each call waits for its
//! answer and serves signals meanwhile.

use std::str::FromStr;

use pyo3::prelude::*;
use serde::Serialize;
use tokio::sync::{Mutex, mpsc};

use super::{
    cluster::Cluster,
    errors::raised,
    held::{Held, Task},
    runtime,
    values::{Request, python},
};
use crate::{
    cluster,
    delete::remedy::carry_out,
    diagnose::{
        Remedy, collect,
        job_list::{JobQuery, ListedJob, list},
        job_report::{JobReport, job_report, with_log},
        rights::{identity as identity_of, rights as rights_of},
        survey::{Diagnosis, Totals, has_failed, survey},
    },
    error::Error,
    identity::{InvalidName, JobName, Namespace},
    model::observed_job::JobReference,
    resource::Namespaces,
    text::one_line,
    unreadable,
};

/// A name as it was given.
fn named<N: FromStr<Err = InvalidName>>(py: Python<'_>, text: &str, argument: &str) -> PyResult<N> {
    text.parse().map_err(|invalid: InvalidName| raised(py, &invalid.of(argument).in_configuration()))
}

/// What `--json` prints, but for what was found. Keys may be added under the same number; none is taken away or changed in
/// meaning.
#[derive(Serialize)]
struct Report {
    schema_version: u32,
    time: String,
    namespace: Option<Namespace>,
    jobs: usize,
    stuck: usize,
    failed: usize,
    unknown: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    diagnoses: Option<Vec<Diagnosis>>,
    /// Of one Job that is there.
    #[serde(rename = "report", skip_serializing_if = "Option::is_none")]
    of_one_job: Option<JobReport>,
}

impl Report {
    fn new(cluster: &cluster::Cluster, scope: &Namespaces, totals: &Totals, diagnoses: Option<Vec<Diagnosis>>) -> Self {
        Self {
            schema_version: 1,
            time: time(cluster),
            namespace: one(scope),
            jobs: totals.jobs,
            stuck: totals.stuck,
            failed: totals.failed,
            unknown: totals.unknown.iter().map(|why| one_line(why.to_string())).collect(),
            diagnoses,
            of_one_job: None,
        }
    }
}

fn one(scope: &Namespaces) -> Option<Namespace> {
    match scope {
        Namespaces::One(namespace) => Some(namespace.clone()),
        Namespaces::All => None,
    }
}

/// The namespace of this name; all, where there is none.
fn scope(py: Python<'_>, namespace: Option<&str>) -> PyResult<Namespaces> {
    namespace.map_or(Ok(Namespaces::All), |name| Ok(Namespaces::One(named(py, name, "`--namespace`")?)))
}

/// By the clock of the API server.
fn time(cluster: &cluster::Cluster) -> String {
    cluster.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn written(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(|error| Error::internal(error.to_string()))
}

/// So many pieces may wait to be taken: what is found faster than it is shown waits in the cluster.
const AHEAD: usize = 2;

/// A look at all Jobs of a namespace or, where none is given, of all, under way.
#[pyclass(frozen, module = "unique_k8s_job._core")]
pub(super) struct Survey(Held<Pieces>);

/// What is found, and the task that finds it.
struct Pieces {
    inbox: Mutex<mpsc::Receiver<Result<String, Error>>>,
    _task: Task<Result<(), Error>>,
}

#[pymethods]
impl Survey {
    #[new]
    #[pyo3(signature = (cluster, namespace))]
    fn new(py: Python<'_>, cluster: &Cluster, namespace: Option<&str>) -> PyResult<Self> {
        let scope = scope(py, namespace)?;
        let cluster = cluster.impatient();
        let (pieces, inbox) = mpsc::channel(AHEAD);
        let task = runtime::spawn(async move {
            let last = match surveyed(&cluster, &scope, &pieces).await {
                Ok(totals) => written(&Report::new(&cluster, &scope, &totals, None)),
                Err(error) => Err(collect::with_readiness(&cluster, error).await),
            };
            // Nobody asks any more where the handle is gone.
            let _ = pieces.send(last).await;
            Ok(())
        });
        let task = Task(task.map_err(|error| raised(py, &error))?);
        Ok(Self(Held::new("Survey", Pieces { inbox: Mutex::new(inbox), _task: task })))
    }

    fn next(&self, py: Python<'_>) -> PyResult<Option<String>> {
        let pieces = self.0.get(py)?;
        runtime::wait(py, async move { pieces.inbox.lock().await.recv().await.transpose() })
    }
}

/// What `next` hands over before the last.
#[derive(Serialize)]
struct Piece {
    time: String,
    diagnoses: Vec<Diagnosis>,
}

/// Sends on what is found.
async fn surveyed(
    cluster: &cluster::Cluster,
    scope: &Namespaces,
    pieces: &mpsc::Sender<Result<String, Error>>,
) -> Result<Totals, Error> {
    let (found, mut inbox) = mpsc::channel::<Vec<Diagnosis>>(1);
    let sending = async {
        while let Some(diagnoses) = inbox.recv().await {
            if pieces.send(written(&Piece { time: time(cluster), diagnoses })).await.is_err() {
                return;
            }
        }
    };
    let surveying = async {
        let found = found;
        survey(cluster, scope, &found).await
    };
    futures::join!(surveying, sending).0
}

/// One Job by its name, and what Jobs of that name have left behind.
#[pyfunction]
pub(super) fn examine_job(py: Python<'_>, cluster: &Cluster, namespace: &str, name: &str) -> PyResult<String> {
    let namespace: Namespace = named(py, namespace, "`--namespace`")?;
    let name: JobName = named(py, name, "`--job`")?;
    let cluster = cluster.impatient();
    runtime::wait(py, async move {
        let facts = match collect::by_name(&cluster, &namespace, &name).await {
            Ok(facts) => facts,
            Err(error) => return Err(collect::with_readiness(&cluster, error).await),
        };
        let present: Vec<_> = facts.iter().filter_map(|facts| Some(&facts.job.as_ref()?.job)).collect();
        let failed = present.iter().filter(|job| has_failed(job)).count();
        let mut totals = Totals { jobs: present.len(), failed, ..Totals::default() };
        let diagnoses: Vec<_> = facts.iter().map(Diagnosis::of).collect();
        facts.iter().zip(&diagnoses).for_each(|(facts, diagnosis)| totals.add(facts, diagnosis));
        let of_one_job = match facts.iter().find_map(|facts| Some((facts, job_report(facts)?))) {
            Some((facts, report)) => Some(with_log(&cluster, facts, report).await),
            None => None,
        };
        written(&Report { of_one_job, ..Report::new(&cluster, &Namespaces::One(namespace), &totals, Some(diagnoses)) })
    })
}

/// What `list --json` prints.
#[derive(Serialize)]
struct Listing {
    schema_version: u32,
    time: String,
    namespace: Option<Namespace>,
    jobs: Vec<ListedJob>,
    unknown: Vec<String>,
}

/// Our Jobs of a namespace, or of all, that fit a query.
#[pyfunction]
#[pyo3(signature = (cluster, namespace, query))]
pub(super) fn list_jobs(
    py: Python<'_>,
    cluster: &Cluster,
    namespace: Option<&str>,
    query: Request,
) -> PyResult<String> {
    let scope = scope(py, namespace)?;
    let query = runtime::done(py, || JobQuery::read(&query.0))?;
    let cluster = cluster.impatient();
    runtime::wait(py, async move {
        let found = match list(&cluster, &scope, &query).await {
            Ok(found) => found,
            Err(error) => return Err(collect::with_readiness(&cluster, error).await),
        };
        written(&Listing {
            schema_version: 1,
            time: time(&cluster),
            namespace: one(&scope),
            jobs: found.jobs,
            unknown: found.unknown.iter().map(|why| one_line(why.to_string())).collect(),
        })
    })
}

/// Carries out one remedy for one Job, given as a dict with `remedy` and `job`.
#[pyfunction]
pub(super) fn remedy<'py>(
    py: Python<'py>,
    cluster: &Cluster,
    request: Request,
    confirm_for: f64,
) -> PyResult<Bound<'py, PyAny>> {
    #[derive(serde::Deserialize)]
    struct OneRemedy {
        remedy: Remedy,
        job: JobReference,
    }
    let request: OneRemedy = runtime::done(py, || {
        unreadable::from_value(&request.0)
            .map_err(|error| Error::internal(format!("a remedy that is not understood: {error}")))
    })?;
    let within = runtime::seconds(confirm_for);
    let cluster = cluster.impatient();
    let carried = runtime::wait(py, async move { carry_out(&cluster, &request.job, request.remedy, within).await })?;
    python(py, &carried)
}

/// Who the identity of this cluster is, and which rights it has.
#[pyfunction]
pub(super) fn rights<'py>(py: Python<'py>, cluster: &Cluster, namespace: &str) -> PyResult<Bound<'py, PyAny>> {
    let namespace: Namespace = named(py, namespace, "`--namespace`")?;
    let cluster = cluster.impatient();
    let answer = runtime::wait(py, async move { rights_of(&cluster, &namespace).await })?;
    python(py, &answer)
}

/// Who the API server takes us for.
#[pyfunction]
pub(super) fn identity<'py>(py: Python<'py>, cluster: &Cluster) -> PyResult<Bound<'py, PyAny>> {
    let cluster = cluster.impatient();
    let answer = runtime::wait(py, async move { identity_of(&cluster).await })?;
    python(py, &answer)
}
