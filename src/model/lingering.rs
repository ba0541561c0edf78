//! Recognizes a Pod whose base container has ended while another container runs on. Pure.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use crate::model::{
    job::JobSpec,
    pod::{has_started, main_containers},
};

/// A Pod whose base container has ended for good while another container runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lingering {
    /// The Pod's name.
    pub pod: String,
    /// The base container.
    pub base: String,
    /// The exit code of the base container.
    pub exit_code: i32,
    /// The containers that still run.
    pub sidecars: Vec<String>,
}

/// The Pod as a lingering one, if it is one. The caller keeps how long it has lingered.
#[must_use]
pub fn lingering(spec: &JobSpec, pod: &Pod) -> Option<Lingering> {
    // The sidecars of a deleted Pod are ending, too, as in a drain, a preemption or a suspension; Kubernetes may start
    // the work again.
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let template = spec.template.spec.as_ref()?;
    let base = template.base_container()?;
    let end = main_containers(pod).find(|c| c.name == base.name)?.state.as_ref()?.terminated.as_ref()?;
    let for_good = match template.restart_policy.as_deref() {
        Some("OnFailure") => end.exit_code == 0,
        // Jobs allow only one other restart policy.
        _ => true,
    };
    let sidecars: Vec<_> = main_containers(pod)
        .filter(|c| c.name != base.name && goes_on(c, template.restart_policy.as_deref()))
        .map(|c| c.name.clone())
        .collect();
    (for_good && !sidecars.is_empty()).then(|| Lingering {
        pod: pod.metadata.name.clone().unwrap_or_default(),
        base: base.name.clone(),
        exit_code: end.exit_code,
        sidecars,
    })
}

/// Whether the container runs, or will run again.
pub(crate) fn goes_on(container: &ContainerStatus, restart_policy: Option<&str>) -> bool {
    let state = container.state.as_ref();
    let runs = state.is_some_and(|state| state.running.is_some());
    let well = state.and_then(|state| state.terminated.as_ref()).is_some_and(|end| end.exit_code == 0);
    runs || (restart_policy == Some("OnFailure") && has_started(container) && !well)
}
