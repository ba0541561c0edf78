//! An order that finds no Job: what is left of one that was there.
//!
//! An earlier try of the same order may have been interrupted between the DELETE and the end of the Pods. Pods are
//! deleted only where their ownerReference names a Job that a GET does not find; those without an owner were orphaned by
//! somebody and are reported, unless the request is explicit (`gc`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use super::{
    batch::{DeletedJobs, get},
    pods::{FoundBy, Ownership, PodsWatcher},
    request::{DeleteRequest, DeleteTarget, WaitFor},
    unconfirmed::may_still_run,
};
use crate::{
    cluster::{Cluster, Failure},
    diagnose::collect::namespace_is_gone,
    error::{Error, Report},
    identity::{JobName, Namespace},
    job_api::{api_call::ApiCall, pods::list_pods},
    model::{
        message::{Message, MessageSink},
        observed_job::JobReference,
        pod::{CONTROLLER_UID, JOB_NAME},
        policies::{Propagation, ReleasePolicy},
    },
    resource::Selector,
};

pub(crate) struct Absent<'a> {
    pub cluster: &'a Cluster,
    pub order: &'a DeleteRequest,
    pub namespace: &'a Namespace,
    pub pods: &'a PodsWatcher,
    pub deadline: Instant,
    pub messages: &'a dyn MessageSink,
}

impl Absent<'_> {
    pub async fn settle(&self) -> Result<DeletedJobs, Error> {
        self.namespace_exists().await?;
        let namespace = self.namespace;
        let (name, uid) = match &self.order.target {
            DeleteTarget::Selector { labels } => {
                self.emit(format!("No Job of namespace `{namespace}` has the labels `{labels}`: nothing to delete"));
                return Ok(DeletedJobs::default());
            }
            DeleteTarget::Listed { .. } => {
                self.emit("None of these Jobs is there any more: nothing to delete".to_owned());
                return Ok(DeletedJobs::default());
            }
            DeleteTarget::Uid { uid } => (None, Some(uid.clone())),
            DeleteTarget::Name { name, uid } => (Some(name.clone()), uid.clone()),
        };
        let left = if self.order.wait_for == WaitFor::Accepted {
            Vec::new()
        } else {
            self.pods(name.as_ref(), uid.as_deref()).await?
        };
        let which = name.as_ref().map_or_else(
            || format!("of uid {}", uid.clone().unwrap_or_default()),
            |name| format!("`{namespace}/{name}`"),
        );
        let no_more =
            uid.as_ref().filter(|_| name.is_some()).map_or(String::new(), |uid| format!(" with the uid {uid}"));
        self.emit(format!("Job {which} does not exist{no_more}: nothing to delete"));
        let mut by_job: BTreeMap<String, Vec<Pod>> = BTreeMap::new();
        for pod in left {
            let uid = pod.metadata.labels.as_ref().and_then(|labels| labels.get(CONTROLLER_UID)).cloned();
            by_job.entry(uid.unwrap_or_default()).or_default().push(pod);
        }
        let mut done = DeletedJobs::default();
        for (uid, pods) in by_job {
            self.follow_pods(name.as_ref(), uid, &pods, &mut done).await?;
        }
        Ok(done)
    }

    /// A Job of a namespace that does not exist is a mistake in the order.
    async fn namespace_exists(&self) -> Result<(), Error> {
        let namespace = self.namespace;
        if namespace_is_gone(self.cluster, namespace).await {
            return Err(Error::Configuration(Box::new(
                Report::new(format!("Nothing can be deleted in namespace `{namespace}`: it does not exist"))
                    .hint("correct the namespace; a Job of a namespace that is gone is gone, too"),
            )));
        }
        Ok(())
    }

    /// Lists the Pods whose labels name the Job.
    async fn pods(&self, name: Option<&JobName>, uid: Option<&str>) -> Result<Vec<Pod>, Error> {
        let selector = match (uid, name) {
            (Some(uid), _) => format!("{CONTROLLER_UID}={uid}"),
            (None, Some(name)) => format!("{JOB_NAME}={name}"),
            (None, None) => return Ok(Vec::new()),
        };
        match list_pods(self.cluster, self.namespace, &Selector::labels(selector)).await {
            Ok(pods) => Ok(pods),
            Err(failure) if failure.is_forbidden() => {
                self.emit(format!("Pods of it cannot be listed, and may be left: {}", failure.message()));
                Ok(Vec::new())
            }
            Err(failure) => Err(self.pods_not_listed(failure)),
        }
    }

    /// The Pods of one Job: waited for, and deleted where the Job is provably gone.
    async fn follow_pods(
        &self,
        name: Option<&JobName>,
        uid: String,
        pods: &[Pod],
        done: &mut DeletedJobs,
    ) -> Result<(), Error> {
        let owners = pods.iter().flat_map(|pod| pod.metadata.owner_references.iter().flatten());
        let owner = owners.clone().find(|owner| owner.uid == uid).map(|owner| owner.name.clone());
        let label = || pods.iter().find_map(|pod| pod.metadata.labels.as_ref()?.get(JOB_NAME)?.parse().ok());
        let of_job = owner.as_ref().and_then(|owner| owner.parse().ok()).or_else(|| name.cloned()).or_else(label);
        let Some(job_name) = of_job else {
            // Nothing says of which Job: somebody has labelled them by hand.
            done.pods_kept.extend(pods.iter().filter_map(|pod| pod.metadata.name.clone()));
            return Ok(());
        };
        if let Some(living) = get(self.cluster, self.namespace, &job_name).await?.filter(|job| job.reference.uid == uid)
        {
            return match &self.order.target {
                // Made since we looked: not the Job that was meant.
                DeleteTarget::Name { uid: None, .. } | DeleteTarget::Listed { .. } | DeleteTarget::Selector { .. } => {
                    Ok(())
                }
                DeleteTarget::Name { .. } | DeleteTarget::Uid { .. } => Err(Error::Configuration(Box::new(
                    Report::new(format!(
                        "The uid {uid} is that of {}, which the order does not name",
                        living.reference
                    ))
                    .hint(format!("to delete it: name=\"{job_name}\"")),
                ))),
            };
        }
        let whose = match (owner, self.order.propagation_policy, self.order.release_stuck) {
            (Some(_), Propagation::Background | Propagation::Foreground, _) => Ownership::Collected,
            (None, Propagation::Background | Propagation::Foreground, ReleasePolicy::Gc) => Ownership::Orphaned,
            (_, Propagation::Orphan, _) | (None, _, ReleasePolicy::Never | ReleasePolicy::Ours) => Ownership::Kept,
        };
        let job = JobReference { namespace: self.namespace.clone(), name: job_name, uid };
        let end = self.pods.ended(&job, FoundBy::ControllerUid, whose, self.deadline).await;
        let end = end.map_err(|failure| ApiCall::ListPods(&job).failed(failure, None))?;
        if !end.live.is_empty() {
            return Err(may_still_run(self.cluster, &job, &end.live, false).await);
        }
        if !end.kept.is_empty() {
            let names = end.kept.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let text = format!("Pods without an owner are left, and stay: {names}");
            self.messages.emit(Message::warning("pods-kept", text));
        }
        done.pods_deleted.extend(end.deleted);
        done.pods_kept.extend(end.kept);
        Ok(())
    }

    fn pods_not_listed(&self, failure: Failure) -> Error {
        let which = match &self.order.target {
            DeleteTarget::Name { name, .. } => name.as_str(),
            DeleteTarget::Uid { uid } => uid,
            DeleteTarget::Listed { .. } => "(several)",
            DeleteTarget::Selector { labels } => labels,
        };
        ApiCall::ListPods(&format!("Job `{}/{which}`", self.namespace)).failed(failure, None)
    }

    fn emit(&self, text: String) {
        self.messages.emit(Message::info("nothing-to-delete", text));
    }
}
