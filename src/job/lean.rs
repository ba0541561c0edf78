//! Leaves out of Jobs and Pods what nobody here reads, so that thousands of them fit into memory. Pure.

use std::mem;

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Container, Pod, PodSpec, PodTemplateSpec},
};

/// A Job without its managed fields, annotations, and the template but what tells how its containers are to be judged.
pub(super) fn job(job: &mut Job) {
    job.metadata.managed_fields = None;
    job.metadata.annotations = None;
    let Some(spec) = &mut job.spec else { return };
    let named = |container: Container| Container { name: container.name, ..Container::default() };
    let all = |containers: Vec<Container>| containers.into_iter().map(named).collect();
    let pod = mem::take(&mut spec.template).spec.map(|pod| PodSpec {
        containers: all(pod.containers),
        init_containers: pod.init_containers.map(all),
        restart_policy: pod.restart_policy,
        service_account_name: pod.service_account_name,
        image_pull_secrets: pod.image_pull_secrets,
        ..PodSpec::default()
    });
    spec.template = PodTemplateSpec { spec: pod, ..PodTemplateSpec::default() };
}

/// A Pod without its managed fields and its spec but the node.
pub(super) fn pod(pod: &mut Pod) {
    pod.metadata.managed_fields = None;
    let node_name = pod.spec.take().and_then(|spec| spec.node_name);
    pod.spec = Some(PodSpec { node_name, ..PodSpec::default() });
}
