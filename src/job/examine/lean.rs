//! Leaves out of an object what no finding reads, so that thousands of them fit into memory.

use std::mem;

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Container, Pod, PodSpec, PodTemplateSpec},
};

/// A Job without its managed fields, annotations, and most of its template.
pub(super) fn job(job: &mut Job) {
    job.metadata.managed_fields = None;
    job.metadata.annotations = None;
    let Some(spec) = &mut job.spec else { return };
    let template = mem::take(&mut spec.template);
    let pod = template.spec.map(|pod| PodSpec {
        containers: pod.containers.into_iter().map(|c| Container { name: c.name, ..Container::default() }).collect(),
        restart_policy: pod.restart_policy,
        service_account_name: pod.service_account_name,
        image_pull_secrets: pod.image_pull_secrets,
        ..PodSpec::default()
    });
    spec.template = PodTemplateSpec { spec: pod, ..PodTemplateSpec::default() };
}

/// A Pod without its managed fields, annotations, and its spec but the node.
pub(super) fn pod(pod: &mut Pod) {
    pod.metadata.managed_fields = None;
    pod.metadata.annotations = None;
    let node_name = pod.spec.take().and_then(|spec| spec.node_name);
    pod.spec = Some(PodSpec { node_name, ..PodSpec::default() });
}
