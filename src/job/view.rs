//! All that one attempt has seen of its Job: the newest Job, its Pods (also those gone since), its Events. Pure.
//!
//! Promise: a decided outcome and the last state of every Pod outlive the objects, so what happened can be
//! told after they are gone. Written by the watch of one attempt only.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};
use serde::Serialize;
use serde_json::Value;

use super::{
    lean,
    outcome::{self, End},
    seen::SeenJob,
};

/// What was seen of one Job.
#[derive(Debug, Clone)]
pub struct View {
    /// Its newest state.
    pub job: Arc<SeenJob>,
    /// The first decided end: a later state never takes it back.
    pub end: Option<End>,
    /// Its Pods by uid, newest state of each.
    pub pods: BTreeMap<String, SeenPod>,
    /// Events about the Job and those Pods, as far as they were asked for.
    pub events: Vec<Event>,
}

/// A Pod, and whether it is still there.
#[derive(Debug, Clone)]
pub struct SeenPod {
    /// Its newest state.
    pub pod: Arc<Pod>,
    /// Whether its deletion was seen.
    pub gone: bool,
}

/// The moments of a Job's life, as Kubernetes keeps them: whole seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Times {
    /// The Job was stored.
    pub created: Option<Timestamp>,
    /// Its first Pod got a node.
    pub scheduled: Option<Timestamp>,
    /// The first image was on that node.
    pub image_ready: Option<Timestamp>,
    /// The first container of its Pods started, init containers apart.
    pub started: Option<Timestamp>,
    /// The Job ended.
    pub ended: Option<Timestamp>,
}

impl View {
    /// A view that begins with one state of the Job.
    #[must_use]
    pub fn new(job: impl Into<Arc<SeenJob>>) -> Self {
        let job = job.into();
        Self { end: outcome::decided(&job.job), job, pods: BTreeMap::new(), events: Vec::new() }
    }

    /// Takes in a newer state of the same Job.
    pub fn apply_job(&mut self, job: impl Into<Arc<SeenJob>>) {
        let job = job.into();
        if let Some(end) = outcome::decided(&job.job) {
            self.end.get_or_insert(end);
        }
        self.job = job;
    }

    /// Takes in the object of a Pod.
    #[cfg(test)]
    pub fn apply_pod(&mut self, object: Value, gone: bool) {
        if let Some(pod) = lean_pod(object) {
            self.see_pod(pod, gone);
        }
    }

    /// Takes in a Pod's state, and whether its deletion was seen.
    pub fn see_pod(&mut self, pod: Arc<Pod>, gone: bool) {
        let Some(uid) = pod.metadata.uid.clone() else { return };
        self.pods.insert(uid, SeenPod { pod, gone });
    }

    /// Takes in a whole list of Pods: those missing are gone.
    pub fn relist_pods(&mut self, pods: impl IntoIterator<Item = Arc<Pod>>) {
        for seen in self.pods.values_mut() {
            seen.gone = true;
        }
        for pod in pods {
            self.see_pod(pod, false);
        }
    }

    /// All Pods ever seen, in the order they were made.
    #[must_use]
    pub fn pods(&self) -> Vec<&Pod> {
        let mut pods: Vec<_> = self.pods.values().map(|seen| &*seen.pod).collect();
        pods.sort_by_key(|pod| (pod.metadata.creation_timestamp.as_ref().map(|t| t.0), pod.metadata.name.clone()));
        pods
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
        let containers = spec
            .and_then(|spec| spec.template.spec.as_ref())
            .map_or(1, |pod| pod.containers.len() + pod.init_containers.as_ref().map_or(0, Vec::len));
        let parallel = spec.is_some_and(|s| s.completions.unwrap_or(1) > 1 || s.parallelism.unwrap_or(1) > 1);
        containers > 1 || parallel || self.pods.len() > 1
    }

    /// The moments known so far.
    #[must_use]
    pub fn times(&self) -> Times {
        let first = |times: &mut dyn Iterator<Item = Timestamp>| times.min();
        let pods = || self.pods.values().map(|seen| &*seen.pod);
        Times {
            created: self.job.job.metadata.creation_timestamp.as_ref().map(|time| time.0),
            scheduled: first(&mut pods().filter_map(scheduled_at)),
            image_ready: first(
                &mut self.events.iter().filter(|e| e.reason.as_deref() == Some("Pulled")).filter_map(event_time),
            ),
            started: first(&mut pods().flat_map(main_containers).filter_map(started_at)),
            ended: outcome::ended_at(&self.job.job)
                .or_else(|| pods().flat_map(main_containers).filter_map(finished_at).max()),
        }
    }
}

/// Reads a Pod; none where the object is no Pod. A Job may have thousands, all of which are remembered, and most of
/// each is its spec: only the node stays of it.
#[must_use]
pub fn lean_pod(object: Value) -> Option<Arc<Pod>> {
    let mut pod: Pod = serde_json::from_value(object).ok()?;
    lean::pod(&mut pod);
    Some(Arc::new(pod))
}

/// Whether a Pod has ended: none of its containers runs any more.
#[must_use]
pub fn pod_ended(pod: &Pod) -> bool {
    matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"))
}

/// When an Event happened.
#[must_use]
pub fn event_time(event: &Event) -> Option<Timestamp> {
    let first = event.first_timestamp.as_ref().map(|time| time.0);
    first.or_else(|| event.event_time.as_ref().map(|time| time.0)).or(event.last_timestamp.as_ref().map(|time| time.0))
}

/// The statuses of a Pod's containers, init containers apart.
pub fn main_containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten())
}

/// The statuses of all containers of a Pod, init containers first.
pub fn all_containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let init = pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten());
    init.chain(main_containers(pod))
}

/// Whether a container runs, ran, or is between two runs.
#[must_use]
pub fn has_started(container: &ContainerStatus) -> bool {
    container.restart_count > 0 || started_at(container).is_some()
}

fn started_at(container: &ContainerStatus) -> Option<Timestamp> {
    let state = container.state.as_ref()?;
    let running = state.running.as_ref().and_then(|running| running.started_at.as_ref());
    let terminated = state.terminated.as_ref().and_then(|terminated| terminated.started_at.as_ref());
    running.or(terminated).map(|time| time.0)
}

fn finished_at(container: &ContainerStatus) -> Option<Timestamp> {
    container.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref().map(|time| time.0)
}

fn scheduled_at(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let scheduled = conditions.iter().find(|c| c.type_ == "PodScheduled" && c.status == "True")?;
    scheduled.last_transition_time.as_ref().map(|time| time.0)
}
