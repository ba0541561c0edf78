//! Does what a finding offers, on a person's order: frees a Job that the garbage collector holds, deletes Pods whose Job
//! is gone.
//!
//! Promise: each object is read again before it is touched, each DELETE carries the uid, a foreign finalizer is never
//! touched, and "done" means that the result was seen. An object that has changed since is left alone, and reported. It
//! decides from a finding and not from the rules of a removal. Pods whose Job is gone have a loop of their own here.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;
use tokio::time::Instant;

use super::{
    release::{
        OF_GARBAGE_COLLECTOR, ReleaseResult, ReleaseRule, ReleaseVerdict, StuckDetector, release, resource_versions,
    },
    removal::{Removal, Wait, WaitEnd},
    unconfirmed::{still_there, unconfirmed},
};
use crate::{
    cluster::Cluster,
    diagnose::{
        Facts, Remedy,
        collect::{self, examine},
        findings,
    },
    error::Error,
    job_api::{api_call::ApiCall, deletes::delete_pod, jobs::get_job_or_error},
    model::{
        observed_job::JobReference,
        pod::{JOB_TRACKING, owned_by_another, work_has_stopped},
        policies::ReleasePolicy,
    },
};

/// A person has decided: a Job that did not change between two GETs is released at once. A Job that changed is left alone.
const AT_ONCE: ReleaseRule = ReleaseRule { policy: ReleasePolicy::Gc, after: Duration::ZERO };
/// The pause between two lists of Pods that were deleted.
const LIST_EVERY: Duration = Duration::from_millis(200);
/// Why an object that changed is left alone.
const MOVES: &str = "or a Pod of it changed during the check, so something else works on it";

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemedyResult {
    /// Whether it is as the order wants it; else it was not safe any more, and left alone.
    pub done: bool,
    /// A sentence that says what.
    pub text: String,
}

impl RemedyResult {
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
) -> Result<RemedyResult, Error> {
    let deadline = Instant::now() + within;
    match remedy {
        Remedy::ReleaseGcFinalizers => free(cluster, job, deadline).await,
        Remedy::DeleteOwnerlessPods => delete_pods(cluster, job, deadline).await,
    }
}

async fn free(cluster: &Cluster, job: &JobReference, deadline: Instant) -> Result<RemedyResult, Error> {
    let gone = || RemedyResult::out(format!("{job} (uid {}) is gone by now, without our doing", job.uid));
    let mut detector = StuckDetector::new(AT_ONCE, Instant::now(), Duration::ZERO);
    let mut checked = false;
    let seen = loop {
        let facts = examine(cluster, job).await?;
        let Some(seen) = facts.job.clone() else { return Ok(gone()) };
        let versions = resource_versions(cluster, &seen).await;
        let versions = versions.map_err(|failure| ApiCall::ListPods(job).failed(failure, None))?;
        match detector.observe(Instant::now(), versions) {
            ReleaseVerdict::CheckAgain(pause) if !checked => tokio::time::sleep(pause).await,
            verdict => match no_longer_safe(&facts, verdict == ReleaseVerdict::Release) {
                Some(why) => return Ok(RemedyResult::not(format!("{job} {why}: it was left alone"))),
                None => break seen,
            },
        }
        checked = true;
    };
    let freed = release(cluster, &seen).await.map_err(|failure| ApiCall::FreeJob(job).failed(failure, None))?;
    if freed == ReleaseResult::Changed {
        return Ok(RemedyResult::not(format!("{job} {MOVES}: it was left alone")));
    }
    let seen = Arc::unwrap_or_clone(seen);
    match Removal::new(cluster, deadline).until_gone(seen, &|_| Wait::GoOn { ours: true }).await? {
        WaitEnd::Gone { .. } => {}
        WaitEnd::Stopped(seen) | WaitEnd::StillThere(seen) => return Err(still_there(cluster, &seen, true).await),
    }
    let left = match collect::pods_of(cluster, job).await {
        Ok(pods) if pods.is_empty() => String::new(),
        Ok(pods) => format!(
            "; its Pods `{}` are still there: they are listed as Pods of a vanished Job if nobody deletes them",
            names(&pods)
        ),
        Err(failure) => format!("; whether Pods of it are left is not known: {}", failure.message()),
    };
    Ok(RemedyResult::out(format!("{job} (uid {}) is gone{left}", job.uid)))
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

async fn delete_pods(cluster: &Cluster, job: &JobReference, deadline: Instant) -> Result<RemedyResult, Error> {
    if get_job_or_error(cluster, job).await?.is_some() {
        return Ok(RemedyResult::not(format!("{job} exists: its Pods were left alone")));
    }
    let pods = pods_of(cluster, job).await?;
    if pods.is_empty() {
        return Ok(RemedyResult::out(format!("{job} has no Pods any more, without our doing")));
    }
    for pod in &pods {
        delete(cluster, pod).await?;
    }
    let names = names(&pods);
    loop {
        let left = pods_of(cluster, job).await?;
        if left.is_empty() {
            return Ok(RemedyResult::out(format!("Pods `{names}` of {job} are gone")));
        }
        if left.iter().all(|pod| only_uncounted(pod)) {
            return Ok(RemedyResult::out(format!(
                "Pods `{names}` of {job} have ended and are deleted; what is left of them goes once the Job controller of \
                 kube-controller-manager works and takes their finalizer `{JOB_TRACKING}` away"
            )));
        }
        if Instant::now() >= deadline {
            let report = job.report(format!("Pods of {job} are still there although their deletion was accepted"));
            return Err(unconfirmed(cluster, job, report, true).await);
        }
        tokio::time::sleep(LIST_EVERY).await;
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

async fn delete(cluster: &Cluster, pod: &Pod) -> Result<(), Error> {
    let metadata = pod.metadata.clone();
    let (Some(namespace), Some(name), Some(uid)) = (metadata.namespace, metadata.name, metadata.uid) else {
        return Err(Error::internal("a Pod without a name or uid was listed"));
    };
    let (Ok(of), Ok(named)) = (namespace.parse(), name.parse()) else {
        return Err(Error::internal(format!("Pod `{namespace}/{name}` has a name that no Pod has")));
    };
    match delete_pod(cluster, &of, &named, &uid).await {
        Ok(_) => Ok(()),
        // Gone, or another Pod has its name.
        Err(failure) if matches!(failure.code(), Some(404 | 409)) => Ok(()),
        Err(failure) => Err(ApiCall::DeletePod(&format!("Pod `{namespace}/{name}`")).failed(failure, None)),
    }
}

/// Without Pods that another object has adopted: a label alone proves nothing.
fn left_behind(mut pods: Vec<Arc<Pod>>, uid: &str) -> Vec<Arc<Pod>> {
    pods.retain(|pod| !owned_by_another(pod, uid));
    pods
}

async fn pods_of(cluster: &Cluster, job: &JobReference) -> Result<Vec<Arc<Pod>>, Error> {
    let pods = collect::pods_of(cluster, job).await;
    Ok(left_behind(pods.map_err(|failure| ApiCall::ListPods(job).failed(failure, None))?, &job.uid))
}

fn names(pods: &[Arc<Pod>]) -> String {
    pods.iter().filter_map(|pod| pod.metadata.name.as_deref()).collect::<Vec<_>>().join("`, `")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{diagnose::Known, model::observed_job::ObservedJob};

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
        let mut facts = Facts::new(now, reference, Some(Arc::new(seen)));
        facts.pods = Known::Seen(Vec::new());
        facts
    }

    #[test]
    fn job_is_freed_only_if_that_is_still_offered_and_nothing_moved() {
        assert_eq!(no_longer_safe(&held(&json!({})), true), None);
        let says = |facts: &Facts, still: bool| no_longer_safe(facts, still).unwrap_or_default();
        assert!(says(&held(&json!({})), false).contains("changed during the check"));
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
            Arc::new(serde_json::from_value::<Pod>(object).unwrap())
        };
        let pods = vec![pod("orphan", &[]), pod("ours", &["u-1"]), pod("adopted", &["u-2"])];
        assert_eq!(names(&left_behind(pods, "u-1")), "orphan`, `ours");
    }
}
