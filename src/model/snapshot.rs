//! Holds all that one attempt has seen of its Job: the newest Job, its Pods (also those that are gone), its Events.
//! Pure.
//!
//! Promise: a decided outcome and the last state of every Pod outlive the objects, so that it can be said what happened
//! after they are gone. Only the follower of one attempt writes it.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use serde::Serialize;

use super::{
    conditions::{self, JobEnd},
    failed_log::FailedLog,
    job_result::RESULT_SIDECAR,
    observed_job::ObservedJob,
    pod::{event_time, finished_at, first_start, has_started, main_containers, scheduled_at},
    pod_end::{PodEnd, pod_end},
    pod_template::TemplateSpec,
};

/// The facts that were seen of one Job.
#[derive(Debug, Clone)]
pub struct JobSnapshot {
    /// Its newest state.
    pub job: Arc<ObservedJob>,
    /// The first decided end; a later state never changes it.
    pub end: Option<JobEnd>,
    /// Its Pods by uid, newest state of each.
    pub pods: BTreeMap<String, ObservedPod>,
    /// Events about the Job and those Pods, as far as they were asked for.
    pub events: Vec<Event>,
    /// What the logs of failed Pods end with, by uid, as far as they were read.
    pub failed_logs: BTreeMap<String, FailedLog>,
}

/// A Pod, and whether it is still there.
#[derive(Debug, Clone)]
pub struct ObservedPod {
    /// Its newest state.
    pub pod: Arc<Pod>,
    /// Whether its deletion was seen.
    pub gone: bool,
    /// When the first of its containers started, init containers apart, as far as it was seen: a container that was
    /// started again twice has forgotten it.
    pub started: Option<Timestamp>,
}

impl ObservedPod {
    /// A Pod that was not seen before.
    #[must_use]
    pub fn new(pod: Arc<Pod>, gone: bool) -> Self {
        let started = main_containers(&pod).filter_map(first_start).min();
        Self { pod, gone, started }
    }
}

/// The moments of a Job's life, in the whole seconds that Kubernetes keeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Times {
    /// The Job was stored.
    pub created: Option<Timestamp>,
    /// Its first Pod got a node.
    pub scheduled: Option<Timestamp>,
    /// Its last Pod got a node, if it has several.
    pub last_scheduled: Option<Timestamp>,
    /// The first image was on that node.
    pub image_ready: Option<Timestamp>,
    /// The first container of its Pods started, init containers apart.
    pub started: Option<Timestamp>,
    /// The containers of its last Pod started, if it has several.
    pub last_started: Option<Timestamp>,
    /// The Job ended.
    pub ended: Option<Timestamp>,
}

impl JobSnapshot {
    /// A snapshot that begins with one state of the Job.
    #[must_use]
    pub fn new(job: impl Into<Arc<ObservedJob>>) -> Self {
        let job = job.into();
        Self {
            end: conditions::decided(&job.job),
            job,
            pods: BTreeMap::new(),
            events: Vec::new(),
            failed_logs: BTreeMap::new(),
        }
    }

    /// Takes in a newer state of the same Job.
    pub fn apply_job(&mut self, job: impl Into<Arc<ObservedJob>>) {
        let job = job.into();
        if let Some(end) = conditions::decided(&job.job) {
            self.end.get_or_insert(end);
        }
        self.job = job;
    }

    /// Takes in the object of a Pod.
    #[cfg(test)]
    pub fn apply_pod_object(&mut self, object: serde_json::Value, gone: bool) {
        if let Some(pod) = super::pod::lean_pod(object) {
            self.apply_pod(pod, gone);
        }
    }

    /// Takes in a Pod's state, and whether its deletion was seen.
    pub fn apply_pod(&mut self, pod: Arc<Pod>, gone: bool) {
        let Some(uid) = pod.metadata.uid.clone() else { return };
        let mut seen = ObservedPod::new(pod, gone);
        if let Some(before) = self.pods.get(&uid) {
            seen.started = before.started.or(seen.started);
        }
        self.pods.insert(uid, seen);
    }

    /// Takes in a whole list of Pods: those missing are gone.
    pub fn relist_pods(&mut self, pods: impl IntoIterator<Item = Arc<Pod>>) {
        for seen in self.pods.values_mut() {
            seen.gone = true;
        }
        for pod in pods {
            self.apply_pod(pod, false);
        }
    }

    /// All Pods ever seen, in the order they were made.
    #[must_use]
    pub fn pods(&self) -> Vec<&Pod> {
        let mut pods: Vec<_> = self.pods.values().map(|seen| &*seen.pod).collect();
        pods.sort_by_key(|pod| made(pod));
        pods
    }

    /// The name of the base container, if the Job tells which it is.
    #[must_use]
    pub fn base_container(&self) -> Option<&str> {
        let template = self.job.job.spec.as_ref()?.template.spec.as_ref();
        template.and_then(TemplateSpec::base_container).map(|container| container.name.as_str())
    }

    /// How the Pods ended that did not end well, in the order they were made.
    #[must_use]
    pub fn pod_ends(&self) -> Vec<PodEnd> {
        let base = self.base_container();
        let mut pods: Vec<_> = self.pods.iter().collect();
        pods.sort_by_key(|(_, seen)| made(&seen.pod));
        let ends = pods.into_iter().filter_map(|(uid, seen)| {
            let mut end = pod_end(seen, base, &self.events)?;
            if let Some(log) = self.failed_logs.get(uid) {
                if log.read_only {
                    end.words.push_str(": read-only file system, says its log");
                }
                end.log = log.clone();
            }
            Some(end)
        });
        ends.collect()
    }

    /// Whether any container but an init container has started in any Pod so far.
    #[must_use]
    pub fn started(&self) -> bool {
        self.pods.values().any(|seen| main_containers(&seen.pod).any(has_started))
    }

    /// Whether more than one container may write to the log.
    #[must_use]
    pub fn many_sources(&self) -> bool {
        let spec = self.job.job.spec.as_ref();
        let template = spec.and_then(|spec| spec.template.spec.as_ref());
        let containers = template.map_or(1, |pod| {
            let init = pod.init_containers.iter().flatten();
            // What the sidecar prints is a value, and no line of the log.
            pod.containers.len() + init.filter(|container| container.name != RESULT_SIDECAR).count()
        });
        let parallel = spec.is_some_and(|s| s.completions.unwrap_or(1) > 1 || s.parallelism.unwrap_or(1) > 1);
        containers > 1 || parallel || self.pods.len() > 1
    }

    /// The moments known so far.
    #[must_use]
    pub fn times(&self) -> Times {
        let pods = || self.pods.values().map(|seen| &*seen.pod);
        let several = |time: &Timestamp| self.pods.len() > 1 && time.as_second() > 0;
        let scheduled = || pods().filter_map(scheduled_at);
        let started = || self.pods.values().filter_map(|seen| seen.started);
        // The image of the Pod that started first, so that all is about one Pod.
        let first = self.pods.iter().min_by_key(|(_, seen)| (seen.started.is_none(), seen.started, made(&seen.pod)));
        let of_first = |event: &&Event| {
            event.reason.as_deref() == Some("Pulled")
                && first.is_some_and(|(uid, _)| event.involved_object.uid.as_ref() == Some(uid))
        };
        let image_ready = self.events.iter().filter(of_first).filter_map(event_time).min();
        Times {
            created: self.job.job.metadata.creation_timestamp.as_ref().map(|time| time.0),
            scheduled: scheduled().min(),
            last_scheduled: scheduled().max().filter(several),
            image_ready: image_ready.filter(|ready| started().min().is_none_or(|started| *ready <= started)),
            started: started().min(),
            last_started: started().max().filter(several),
            ended: conditions::ended_at(&self.job.job)
                .or_else(|| pods().flat_map(main_containers).filter_map(finished_at).max()),
        }
    }
}

/// The order of Pods.
fn made(pod: &Pod) -> (Option<Timestamp>, Option<String>) {
    (pod.metadata.creation_timestamp.as_ref().map(|made| made.0), pod.metadata.name.clone())
}
