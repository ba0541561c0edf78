//! Does what a finding offers, on a person's order: frees a Job that the garbage collector holds, deletes Pods whose Job
//! is gone.
//!
//! Promise: everything is looked at again before it is touched, each DELETE carries the uid, a foreign finalizer is never
//! touched, and "done" means that it was seen to be done. What was meant and has changed since is left alone, and said.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;
use serde_json::json;
use tokio::time::Instant;

use super::release::{OF_GARBAGE_COLLECTOR, ReleaseResult, ResourceVersions, release, resource_versions};
use crate::{
    cluster::Cluster,
    diagnose::{
        Facts, Remedy,
        collect::{self, examine},
        explain, findings,
    },
    error::{Error, Report},
    job_api::{api_call::ApiCall, jobs::get_job},
    model::{
        observed_job::{JobReference, ObservedJob},
        pod::{JOB_TRACKING, owned_by_another, work_has_stopped},
    },
    resource::Object,
};

/// Between the two looks at a Job that is to be freed: one that moves is left to what moves it.
const TWO_LOOKS: Duration = Duration::from_secs(1);
/// Between two looks for the end.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Why what moves is left alone.
const MOVES: &str = "or a Pod of it changed while it was looked at, so that something works on it";

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Carried {
    /// Whether it is as the order wants it; else it was not safe any more, and left alone.
    pub done: bool,
    /// A sentence that says what.
    pub text: String,
}

impl Carried {
    fn out(text: String) -> Self {
        Self { done: true, text }
    }

    fn not(text: String) -> Self {
        Self { done: false, text }
    }
}

/// Carries out one remedy for one Job, and confirms it within this time.
pub async fn carry_out(
    cluster: &Cluster,
    job: &JobReference,
    remedy: Remedy,
    within: Duration,
) -> Result<Carried, Error> {
    let deadline = Instant::now() + within;
    match remedy {
        Remedy::ReleaseGcFinalizers => free(cluster, job, deadline).await,
        Remedy::DeleteOwnerlessPods => delete_pods(cluster, job, deadline).await,
    }
}

async fn free(cluster: &Cluster, job: &JobReference, deadline: Instant) -> Result<Carried, Error> {
    let gone = || Carried::out(format!("{job} (uid {}) is gone by now, without our doing", job.uid));
    let Some((_, before)) = watch(cluster, job).await? else { return Ok(gone()) };
    tokio::time::sleep(TWO_LOOKS).await;
    let Some((facts, after)) = watch(cluster, job).await? else { return Ok(gone()) };
    if let Some(why) = no_longer_safe(&facts, before == after) {
        return Ok(Carried::not(format!("{job} {why}: it was left alone")));
    }
    let Some(seen) = &facts.job else { return Ok(gone()) };
    let freed = release(cluster, seen).await.map_err(|failure| ApiCall::FreeJob(job).failed(failure, None))?;
    if freed == ReleaseResult::Changed {
        return Ok(Carried::not(format!("{job} {MOVES}: it was left alone")));
    }
    while get(cluster, job).await?.is_some() {
        if Instant::now() >= deadline {
            return Err(not_done(cluster, job, format!("{job} is still there although its release was accepted")).await);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let left = match collect::pods_of(cluster, job).await {
        Ok(pods) if pods.is_empty() => String::new(),
        Ok(pods) => {
            let names: Vec<_> = pods.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect();
            format!(
                "; its Pods `{}` are still there: they are listed as Pods of a vanished Job if nobody deletes them",
                names.join("`, `")
            )
        }
        Err(failure) => format!("; whether Pods of it are left is not known: {}", failure.message()),
    };
    Ok(Carried::out(format!("{job} (uid {}) is gone{left}", job.uid)))
}

/// The Job as it is now, with the versions of everything of it.
async fn watch(cluster: &Cluster, job: &JobReference) -> Result<Option<(Facts, ResourceVersions)>, Error> {
    let facts = examine(cluster, job).await?;
    let Some(seen) = facts.job.clone() else { return Ok(None) };
    let versions = resource_versions(cluster, &seen).await;
    let versions = versions.map_err(|failure| ApiCall::ListPods(job).failed(failure, None))?;
    Ok(Some((facts, versions)))
}

/// Why a Job is not to be freed now, although that was offered before.
fn no_longer_safe(facts: &Facts, still: bool) -> Option<String> {
    let seen = facts.job.as_ref()?;
    if seen.deletion_timestamp().is_none() {
        return Some("is not being deleted".into());
    }
    if !seen.finalizers().iter().all(|finalizer| OF_GARBAGE_COLLECTOR.contains(&finalizer.as_str())) {
        return Some(format!("has finalizers of others (`{}`)", seen.finalizers().join("`, `")));
    }
    if !still {
        return Some(MOVES.into());
    }
    let found = findings(facts);
    if found.iter().any(|finding| finding.remedy == Some(Remedy::ReleaseGcFinalizers)) {
        return None;
    }
    let evidence = found.iter().find_map(|finding| finding.seen.last());
    let evidence = evidence.map_or_else(String::new, |evidence| format!(" ({evidence})"));
    Some(format!("can no longer be freed safely{evidence}"))
}

async fn delete_pods(cluster: &Cluster, job: &JobReference, deadline: Instant) -> Result<Carried, Error> {
    if get(cluster, job).await?.is_some() {
        return Ok(Carried::not(format!("{job} exists: its Pods were left alone")));
    }
    let pods = pods_of(cluster, job).await?;
    if pods.is_empty() {
        return Ok(Carried::out(format!("{job} has no Pods any more, without our doing")));
    }
    for pod in &pods {
        delete_pod(cluster, pod).await?;
    }
    let names = names(&pods);
    loop {
        let left = pods_of(cluster, job).await?;
        if left.is_empty() {
            return Ok(Carried::out(format!("Pods `{names}` of {job} are gone")));
        }
        if left.iter().all(|pod| only_uncounted(pod)) {
            return Ok(Carried::out(format!(
                "Pods `{names}` of {job} have ended and are deleted; what is left of them goes once the Job controller of \
                 kube-controller-manager works and takes their finalizer `{JOB_TRACKING}` away"
            )));
        }
        if Instant::now() >= deadline {
            let what = format!("Pods of {job} are still there although their deletion was accepted");
            return Err(not_done(cluster, job, what).await);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Whether nothing of a Pod that is deleted runs any more, and only the Job controller keeps it.
fn only_uncounted(pod: &Pod) -> bool {
    let finalizers = pod.metadata.finalizers.as_deref().unwrap_or_default();
    pod.metadata.deletion_timestamp.is_some()
        && work_has_stopped(pod)
        && !finalizers.is_empty()
        && finalizers.iter().all(|finalizer| finalizer == JOB_TRACKING)
}

async fn delete_pod(cluster: &Cluster, pod: &Pod) -> Result<(), Error> {
    let metadata = pod.metadata.clone();
    let (Some(namespace), Some(name), Some(uid)) = (metadata.namespace, metadata.name, metadata.uid) else {
        return Err(Error::internal("a Pod without a name or uid was listed"));
    };
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
    let (Ok(of), Ok(named)) = (namespace.parse(), name.parse()) else {
        return Err(Error::internal(format!("Pod `{namespace}/{name}` has a name that no Pod has")));
    };
    match cluster.delete(Object::Pod(&of, &named), &options).await {
        Ok(_) => Ok(()),
        // Gone, or another Pod has its name.
        Err(failure) if matches!(failure.code(), Some(404 | 409)) => Ok(()),
        Err(failure) => Err(ApiCall::DeletePod(&format!("Pod `{namespace}/{name}`")).failed(failure, None)),
    }
}

async fn get(cluster: &Cluster, job: &JobReference) -> Result<Option<ObservedJob>, Error> {
    get_job(cluster, job).await.map_err(|failure| ApiCall::GetJob(job).failed(failure, None))
}

/// Without Pods that another object has adopted: a label alone proves nothing.
fn left_behind(mut pods: Vec<std::sync::Arc<Pod>>, uid: &str) -> Vec<std::sync::Arc<Pod>> {
    pods.retain(|pod| !owned_by_another(pod, uid));
    pods
}

async fn pods_of(cluster: &Cluster, job: &JobReference) -> Result<Vec<std::sync::Arc<Pod>>, Error> {
    let pods = collect::pods_of(cluster, job).await;
    Ok(left_behind(pods.map_err(|failure| ApiCall::ListPods(job).failed(failure, None))?, &job.uid))
}

fn names(pods: &[std::sync::Arc<Pod>]) -> String {
    pods.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect::<Vec<_>>().join("`, `")
}

async fn not_done(cluster: &Cluster, job: &JobReference, what: String) -> Error {
    let report = Report::new(what)
        .fact("name", job.name.clone())
        .fact("namespace", job.namespace.clone())
        .fact("uid", job.uid.clone());
    let found = examine(cluster, job).await.map(|facts| findings(&facts)).unwrap_or_default();
    Error::DeletionUnconfirmed(Box::new(explain(report, &found)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::Known;

    /// A Job without Pods that `orphan` has held for an hour, its metadata changed as given.
    fn held(change: &serde_json::Value) -> Facts {
        let mut job = json!({"metadata": {"namespace": "etl", "name": "train", "uid": "u-1",
            "deletionTimestamp": "2026-01-06T10:00:00Z", "finalizers": ["orphan"]}, "spec": {"template": {}}});
        if let (Some(metadata), Some(change)) = (job["metadata"].as_object_mut(), change.as_object()) {
            metadata.extend(change.clone());
        }
        let seen = ObservedJob::read(&job).unwrap();
        let reference = seen.reference.clone();
        let now = "2026-01-06T11:00:00Z".parse().unwrap();
        let mut facts = Facts::new(now, reference, Some(std::sync::Arc::new(seen)));
        facts.pods = Known::Seen(Vec::new());
        facts
    }

    #[test]
    fn job_is_freed_only_if_that_is_still_offered_and_nothing_moved() {
        assert_eq!(no_longer_safe(&held(&json!({})), true), None);
        let says = |facts: &Facts, still: bool| no_longer_safe(facts, still).unwrap_or_default();
        assert!(says(&held(&json!({})), false).contains("changed while it was looked at"));
        assert!(says(&held(&json!({"deletionTimestamp": null})), true).contains("not being deleted"));
        let foreign = held(&json!({"finalizers": ["orphan", "example.com/backup"]}));
        assert!(says(&foreign, true).contains("example.com/backup"));
        let mut blind = held(&json!({}));
        blind.pods = Known::default();
        assert!(says(&blind, true).contains("not safe by itself"), "{}", says(&blind, true));
    }

    #[test]
    fn only_pods_without_another_owner_are_ever_deleted() {
        let pod = |name: &str, owners: &[&str]| {
            let owners: Vec<_> = owners
                .iter()
                .map(|uid| json!({"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": uid}))
                .collect();
            let object = json!({"metadata": {"name": name, "ownerReferences": owners}});
            std::sync::Arc::new(serde_json::from_value::<Pod>(object).unwrap())
        };
        let pods = vec![pod("orphan", &[]), pod("ours", &["u-1"]), pod("adopted", &["u-2"])];
        assert_eq!(names(&left_behind(pods, "u-1")), "orphan`, `ours");
    }
}
