//! Tries writes with `dryRun=All`: nothing else shows whether admission lets a Job be changed or deleted.
//!
//! It does so only if something is stuck that a dry run could explain, and only with the rights of the identity.

use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::{
    collect::unknown,
    facts::{Facts, Known, Probe, Unknown},
    finding::Code,
    findings,
};
use crate::{
    cluster::{Cluster, DryRun, Failure},
    identity::{Namespace, PodName},
    job_api::deletes::options_for_job,
    model::{observed_job::JobReference, policies::Propagation},
    resource::{Object, Resource, Verb},
};

/// Whether a dry run could explain a finding.
pub(crate) fn explains(facts: &Facts) -> bool {
    let told = [
        Code::FinalizerOrphanStuck,
        Code::FinalizerForegroundStuck,
        Code::JobControllerSilent,
        Code::TtlNotObeyed,
        Code::PodJobTrackingStuck,
    ];
    findings(facts).iter().any(|finding| told.contains(&finding.code))
}

/// Tries the writes that can explain the findings so far.
pub(crate) async fn probe(cluster: &Cluster, facts: &mut Facts) {
    let found: Vec<_> = findings(facts).into_iter().map(|finding| (finding.code, finding.object)).collect();
    let any = |codes: &[Code]| found.iter().any(|(code, _)| codes.contains(code));
    let job = facts.reference.clone();
    if any(&[Code::FinalizerOrphanStuck, Code::FinalizerForegroundStuck, Code::JobControllerSilent]) {
        facts.job_update = update(cluster, job.object(), &job.uid).await;
    }
    if any(&[Code::TtlNotObeyed]) {
        facts.job_delete = deletion(cluster, &job).await;
    }
    let stuck = found.iter().find(|(code, _)| *code == Code::PodJobTrackingStuck).map(|(_, pod)| pod.uid.clone());
    let orphaning = any(&[Code::FinalizerOrphanStuck]);
    let pods = facts.pods.get().into_iter().flatten();
    let pod = pods.clone().find(|pod| pod.metadata.uid == stuck).or_else(|| pods.clone().next().filter(|_| orphaning));
    if let Some((namespace, name, uid)) = pod.and_then(|pod| reference(pod)) {
        facts.pod_update = update(cluster, Object::Pod(&namespace, &name), &uid).await;
    }
}

/// Namespace, name and uid of a Pod.
fn reference(pod: &Pod) -> Option<(Namespace, PodName, String)> {
    let metadata = &pod.metadata;
    let (namespace, name) = (metadata.namespace.as_ref()?.parse().ok()?, metadata.name.as_ref()?.parse().ok()?);
    Some((namespace, name, metadata.uid.clone()?))
}

async fn update(cluster: &Cluster, object: Object<'_>, uid: &str) -> Known<Probe> {
    let nothing = json!([{"op": "test", "path": "/metadata/uid", "value": uid}]);
    let answer = cluster.dry_run(DryRun::Patch, object, &nothing).await;
    told(&answer, Verb::Patch, object.resource())
}

async fn deletion(cluster: &Cluster, job: &JobReference) -> Known<Probe> {
    let mut options = options_for_job(job, Propagation::Background);
    options["dryRun"] = json!(["All"]);
    let answer = cluster.dry_run(DryRun::Delete, job.object(), &options).await;
    told(&answer, Verb::Delete, Resource::Jobs)
}

fn told(answer: &Result<Value, Failure>, verb: Verb, resource: Resource) -> Known<Probe> {
    match answer {
        Ok(_) => Known::Seen(Probe::Accepted),
        Err(failure) if by_admission(failure) => Known::Seen(Probe::Refused(failure.message())),
        Err(failure) => Known::Not(match unknown(failure, verb, resource) {
            // Some webhooks do not accept dry runs: that says nothing about real writes.
            Unknown::NoAnswer { resource, why } if why.contains("dry run") => {
                Unknown::NoAnswer { resource, why: format!("a webhook takes no dry run: {why}") }
            }
            other => other,
        }),
    }
}

/// Whether a webhook or a policy refused the write, or could not be asked, which has the same effect.
pub(crate) fn by_admission(failure: &Failure) -> bool {
    let message = failure.message();
    !message.contains("does not support dry run")
        && ["admission webhook", "failed calling webhook", "ValidatingAdmissionPolicy"]
            .iter()
            .any(|words| message.contains(words))
}
