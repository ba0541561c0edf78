//! An order that finds no Job: what is left of one that was there.
//!
//! An earlier try of the same order may have been interrupted between the DELETE and the end of the Pods. Pods are
//! deleted only where their ownerReference names a Job that a GET does not find; those without an owner were orphaned by
//! somebody and are told, unless the order is explicit (`gc`).

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use super::{
    order::{DeleteOrder, Propagation, Target, WaitFor},
    owned::{cannot_see_pods, may_still_run},
    pods::{CONTROLLER_UID, FoundBy, JOB_NAME, Ownership, PodsWatcher, read},
    release::ReleasePolicy,
    work::{DeletedJobs, News, get},
};
use crate::{
    cluster::{Cluster, Failure, Resource, Selector},
    error::{Error, Report},
    job::{message::Message, seen::JobReference},
};

pub(super) struct Absent<'a> {
    pub cluster: &'a Cluster,
    pub order: &'a DeleteOrder,
    pub namespace: &'a str,
    pub pods: &'a PodsWatcher,
    pub deadline: Instant,
    pub tell: &'a (dyn Fn(News) + Sync),
}

impl Absent<'_> {
    pub async fn settle(&self) -> Result<DeletedJobs, Error> {
        self.namespace_exists().await?;
        let namespace = self.namespace;
        let (name, uid) = match &self.order.target {
            Target::Selector { labels } => {
                self.say(format!("No Job of namespace `{namespace}` has the labels `{labels}`: nothing to delete"));
                return Ok(DeletedJobs::default());
            }
            Target::Uid { uid } => (None, Some(uid.clone())),
            Target::Name { name, uid } => (Some(name.clone()), uid.clone()),
        };
        let left = if self.order.wait_for == WaitFor::Accepted {
            Vec::new()
        } else {
            self.pods(name.as_deref(), uid.as_deref()).await?
        };
        let which = name.as_ref().map_or_else(
            || format!("of uid {}", uid.clone().unwrap_or_default()),
            |name| format!("`{namespace}/{name}`"),
        );
        let no_more =
            uid.as_ref().filter(|_| name.is_some()).map_or(String::new(), |uid| format!(" with the uid {uid}"));
        self.say(format!("Job {which} does not exist{no_more}: nothing to delete"));
        let mut by_job: BTreeMap<String, Vec<Pod>> = BTreeMap::new();
        for pod in left {
            let uid = pod.metadata.labels.as_ref().and_then(|labels| labels.get(CONTROLLER_UID)).cloned();
            by_job.entry(uid.unwrap_or_default()).or_default().push(pod);
        }
        let mut done = DeletedJobs::default();
        for (uid, pods) in by_job {
            self.see_to(name.as_deref(), uid, &pods, &mut done).await?;
        }
        Ok(done)
    }

    /// A Job of a namespace that does not exist is a mistake in the order.
    async fn namespace_exists(&self) -> Result<(), Error> {
        let namespace = self.namespace;
        match self.cluster.get(Resource::Namespaces, "", namespace).await {
            Ok(None) => Err(Error::Configuration(Box::new(
                Report::new(format!("Nothing can be deleted in namespace `{namespace}`: it does not exist"))
                    .hint("correct the namespace; a Job of a namespace that is gone is gone, too"),
            ))),
            // Without the right to read namespaces that is not known.
            Ok(Some(_)) | Err(_) => Ok(()),
        }
    }

    /// Pods that speak of the Job.
    async fn pods(&self, name: Option<&str>, uid: Option<&str>) -> Result<Vec<Pod>, Error> {
        let selector = match (uid, name) {
            (Some(uid), _) => format!("{CONTROLLER_UID}={uid}"),
            (None, Some(name)) => format!("{JOB_NAME}={name}"),
            (None, None) => return Ok(Vec::new()),
        };
        match self.cluster.list(Resource::Pods, self.namespace, &Selector::labels(selector)).await {
            Ok(listed) => Ok(listed.items.into_iter().map(read).collect()),
            Err(failure) if failure.code() == Some(403) => {
                self.say(format!("Whether Pods of it are left cannot be seen: {}", failure.message()));
                Ok(Vec::new())
            }
            Err(failure) => Err(self.cannot_see(failure)),
        }
    }

    /// The Pods of one Job: waited for, and deleted where the Job is provably gone.
    async fn see_to(&self, name: Option<&str>, uid: String, pods: &[Pod], done: &mut DeletedJobs) -> Result<(), Error> {
        let owners = pods.iter().flat_map(|pod| pod.metadata.owner_references.iter().flatten());
        let owner = owners.clone().find(|owner| owner.uid == uid).map(|owner| owner.name.clone());
        let job_name = owner.clone().or_else(|| name.map(str::to_owned)).unwrap_or_default();
        if let Some(living) = get(self.cluster, self.namespace, &job_name).await?.filter(|job| job.reference.uid == uid)
        {
            return match &self.order.target {
                // Made since we looked: not the Job that was meant.
                Target::Name { uid: None, .. } | Target::Selector { .. } => Ok(()),
                Target::Name { .. } | Target::Uid { .. } => Err(Error::Configuration(Box::new(
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
        let job = JobReference { namespace: self.namespace.to_owned(), name: job_name, uid };
        let end = self.pods.ended(&job, FoundBy::ControllerUid, whose, self.deadline).await;
        let end = end.map_err(|failure| cannot_see_pods(&job, failure))?;
        if !end.live.is_empty() {
            return Err(may_still_run(self.cluster, &job, &end.live, false).await);
        }
        if !end.kept.is_empty() {
            let names = end.kept.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let text = format!("Pods without an owner are left, and stay: {names}");
            (self.tell)(News::Message(Message::warning("pods-kept", text)));
        }
        done.pods_deleted.extend(end.deleted);
        done.pods_kept.extend(end.kept);
        Ok(())
    }

    fn cannot_see(&self, failure: Failure) -> Error {
        let name = match &self.order.target {
            Target::Name { name, .. } => name.clone(),
            Target::Uid { uid } => uid.clone(),
            Target::Selector { labels } => labels.clone(),
        };
        let job = JobReference { namespace: self.namespace.to_owned(), name, uid: String::new() };
        cannot_see_pods(&job, failure)
    }

    fn say(&self, text: String) {
        (self.tell)(News::Message(Message::info("nothing-to-delete", text)));
    }
}
