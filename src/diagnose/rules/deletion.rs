//! Finds out why a Job that was deleted, or should have been, is still there.
//!
//! The garbage collector of kube-controller-manager removes `orphan` and `foregroundDeletion`, normally within a
//! second. A second DELETE with Background removes both without the garbage collector and without passing UPDATE
//! admission. Any other finalizer belongs to somebody else. Source:
//! <https://kubernetes.io/docs/concepts/architecture/garbage-collection/#cascading-deletion>.

use k8s_openapi::api::core::v1::Pod;
use serde_json::json;

use super::pods::{held, out_of_reach, pod_names};
use crate::{
    diagnose::{
        facts::{Facts, Known, NodeState, Probe, Unknown},
        finding::{Code, Finding, Remedy, Severity},
    },
    identity::OURS,
    model::{conditions, observed_job::JobReference, pod::work_has_stopped},
    text::Command,
};

/// The seconds that a busy garbage collector may need for a Job; normally it needs one.
const COLLECTED_WITHIN: u64 = 10;
/// The seconds that the TTL controller may need beyond the TTL.
const TTL_OBEYED_WITHIN: u64 = 30;
const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";

pub(crate) fn rules(facts: &Facts, found: &mut Vec<Finding>) {
    webhooks(facts, found);
    if facts.deleted_at().is_none() {
        ttl(facts, found);
        return;
    }
    if !facts.older(facts.deleted_at(), COLLECTED_WITHIN) {
        return;
    }
    for finalizer in facts.finalizers() {
        match finalizer.as_str() {
            ORPHAN => orphan(facts, found),
            FOREGROUND => foreground(facts, found),
            foreign => found.push(foreign_finalizer(facts, foreign)),
        }
    }
}

fn orphan(facts: &Facts, found: &mut Vec<Finding>) {
    let job = &facts.reference;
    let cause = format!(
        "{job} is deleted but held by the finalizer `{ORPHAN}`, which the garbage collector of kube-controller-manager \
         removes within a second when it works{}",
        why_not(facts)
    );
    let finding = Finding::new(Code::FinalizerOrphanStuck, Severity::Blocking, job, cause)
        .since(facts.deleted_at())
        .seen(accepted(facts, "Orphan, the API server's default for Jobs"))
        .seen_all(left_behind(facts));
    found.push(released(finding, facts));
}

/// Says what waiting Pods mean for the Job. The rules about Pods say what the Pods wait for.
fn foreground(facts: &Facts, found: &mut Vec<Finding>) {
    if facts.pods.get().is_none() {
        found.push(foreground_unsure(facts));
        return;
    }
    let mut pods = facts.pods();
    let held: Vec<&Pod> = pods.clone().filter(|pod| held(facts, pod)).collect();
    if !held.is_empty() {
        found.push(held_by_pods(facts, &held));
    } else if !pods.clone().any(|pod| blocks(pod, &facts.reference.uid)) {
        found.push(foreground_stuck(facts, "no Pod of it is left", "removes it"));
    } else if pods.clone().all(|pod| pod.metadata.deletion_timestamp.is_none()) {
        let left = format!("no Pod of it is being deleted, of {}", pod_names(pods.by_ref()));
        found.push(foreground_stuck(facts, &left, "begins to delete the Pods"));
    }
}

fn foreground_stuck(facts: &Facts, although: &str, does: &str) -> Finding {
    let job = &facts.reference;
    let cause = format!(
        "{job} is deleted but held by the finalizer `{FOREGROUND}` although {although}: the garbage collector of \
         kube-controller-manager {does} within a second when it works{}",
        why_not(facts)
    );
    let finding = Finding::new(Code::FinalizerForegroundStuck, Severity::Blocking, job, cause)
        .since(facts.deleted_at())
        .seen(accepted(facts, "Foreground"));
    released(finding, facts)
}

fn foreground_unsure(facts: &Facts) -> Finding {
    let job = &facts.reference;
    let why = facts.pods.missing().map_or_else(|| "unknown: not asked".to_owned(), ToString::to_string);
    let cause = format!(
        "{job} is deleted and waits, with the finalizer `{FOREGROUND}`, until its Pods are gone or the garbage collector \
         works again; which of the two is not known"
    );
    Finding::new(Code::FinalizerForegroundStuck, Severity::Warning, job, cause)
        .since(facts.deleted_at())
        .seen(accepted(facts, "Foreground"))
        .seen(format!("its Pods are {why}"))
        .next(pods_of(&facts.reference))
}

fn held_by_pods(facts: &Facts, held: &[&Pod]) -> Finding {
    let job = &facts.reference;
    let cause = format!(
        "{job} is deleted in the foreground, so its name stays taken until its Pods are gone, and these are still there: {}",
        pod_names(held.iter().copied())
    );
    let finding = Finding::new(Code::ForegroundHeldByPods, Severity::Blocking, job, cause)
        .since(facts.deleted_at())
        .seen(accepted(facts, "Foreground"));
    let going: Vec<&Pod> = facts.pods().filter(|pod| !work_has_stopped(pod)).collect();
    if going.is_empty() {
        released(finding.seen("the containers of its Pods have ended: no work runs any more"), facts)
    } else {
        finding
            .seen(format!(
                "Pods of it may still run, so freeing the name is not safe by itself: {}",
                pod_names(going.iter().copied())
            ))
            .next(wait_for_pods(facts))
    }
}

/// Offers the release of the Job, unless one of two reasons speaks against it. Beside a foreign finalizer, the Pods
/// would be deleted before the owner of that finalizer agrees, and the Job would stay. If something may run that nobody
/// can see, only the taken name keeps the work from being done twice.
fn released(finding: Finding, facts: &Facts) -> Finding {
    let of_garbage_collector = |finalizer: &String| matches!(finalizer.as_str(), ORPHAN | FOREGROUND);
    if !facts.finalizers().iter().all(of_garbage_collector) {
        return finding.next(controller_manager());
    }
    match unseen(facts) {
        Some(why) => finding.seen(why).next(wait_for_pods(facts)),
        None => finding
            .next(release(facts))
            .remedy(Remedy::ReleaseGcFinalizers)
            .running(facts.pods().filter(|pod| !work_has_stopped(pod))),
    }
}

/// The reason why it is not known whether Pods of the Job still run. A missing right to read nodes is no such reason.
fn unseen(facts: &Facts) -> Option<String> {
    if let Known::Not(why) = &facts.pods {
        return Some(format!("its Pods are {why}, so freeing the name is not safe by itself"));
    }
    facts.pods().filter(|pod| !work_has_stopped(pod)).find_map(|pod| {
        let (node, state) = facts.node_of(pod)?;
        let why = match state {
            Known::Seen(state @ (NodeState::NotReady { .. } | NodeState::Gone)) => out_of_reach(state),
            Known::Not(why @ (Unknown::NoAnswer { .. } | Unknown::Unreadable { .. })) => format!("is {why}"),
            Known::Seen(NodeState::Ready) | Known::Not(Unknown::NoRight { .. } | Unknown::NotAsked) => return None,
        };
        let name = pod.metadata.name.as_deref().unwrap_or("?");
        Some(format!(
            "Pod `{name}` may still run on node `{node}`, which {why}, so freeing the name is not safe by itself"
        ))
    })
}

fn foreign_finalizer(facts: &Facts, finalizer: &str) -> Finding {
    let job = &facts.reference;
    let domain = domain(finalizer);
    let fields = facts.job().and_then(|job| job.metadata.managed_fields.as_ref());
    let by = fields.and_then(|fields| fields.finalizers.get(finalizer)).map(|by| {
        // A finalizer of a Job that we made stands in its manifest.
        if by.name == OURS { " (from the manifest of its task)".to_owned() } else { format!(" (set by {by})") }
    });
    let by = by.unwrap_or_default();
    let owner = format!("only whoever runs `{domain}` knows when it may be removed");
    let end = facts.job().and_then(conditions::finished);
    let cause = match &end {
        Some(end) => {
            let how = if *end == conditions::JobEnd::Succeeded { "succeeded" } else { "failed" };
            format!("{job} has {how}; only its deletion waits, for its finalizer `{finalizer}`{by}: {owner}")
        }
        None => format!("{job} is being deleted, and waits for its finalizer `{finalizer}`{by}: {owner}"),
    };
    Finding::new(Code::ForeignFinalizer, Severity::Blocking, job, cause)
        .since(facts.deleted_at())
        .seen(format!("finalizers {}", quoted(facts.finalizers())))
        .seen_all(end.map(|_| {
            "its work has ended: only its object is left, and a run of another name does not wait for it".to_owned()
        }))
        .next(ask_the_owner())
        .last_resort(remove_finalizer(
            "job",
            job.namespace.as_str(),
            job.name.as_str(),
            &job.uid,
            facts.finalizers(),
            finalizer,
        ))
}

/// Whether a text is one word for every shell.
pub(crate) fn is_word(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    !text.is_empty() && !text.starts_with('-') && text.chars().all(plain)
}

/// The owner of a finalizer: the part before its slash.
pub(crate) fn domain(finalizer: &str) -> &str {
    finalizer.split_once('/').map_or(finalizer, |(domain, _)| domain)
}

/// The command that shows whether the controller of a finalizer runs.
pub(crate) fn ask_the_owner() -> Command {
    Command::new(&["kubectl", "get", "pods", "-A"])
        .comment("look for the program that removes this finalizer, and ask who runs it. If nobody does, take it out of the manifest")
}

/// The command for a person who has asked the owner. It tests uid, index and name of the finalizer before it removes
/// it.
pub(crate) fn remove_finalizer(
    kind: &'static str,
    namespace: &str,
    name: &str,
    uid: &str,
    finalizers: &[String],
    finalizer: &str,
) -> Command {
    let index = finalizers.iter().position(|one| one == finalizer).unwrap_or(0);
    let path = format!("/metadata/finalizers/{index}");
    Command::kubectl_in(namespace, &["patch", kind])
        .name(name)
        .words(&["--type=json", "-p"])
        .json(&json!([
            {"op": "test", "path": "/metadata/uid", "value": uid},
            {"op": "test", "path": path, "value": finalizer},
            {"op": "remove", "path": path},
        ]))
        .comment("only once whoever runs its controller says that the controller will never do it")
}

fn ttl(facts: &Facts, found: &mut Vec<Finding>) {
    let job = &facts.reference;
    let Some(present) = facts.job() else { return };
    let (Some(ttl), Some(ended)) =
        (facts.spec().and_then(|spec| spec.ttl_seconds_after_finished), conditions::ended_at(present))
    else {
        return;
    };
    let over = facts.age(ended).saturating_sub(u64::try_from(ttl).unwrap_or(0));
    if conditions::finished(present).is_none() || over < TTL_OBEYED_WITHIN {
        return;
    }
    let why = match &facts.job_delete {
        Known::Seen(Probe::Refused(message)) => format!("but its deletion is refused: {message}"),
        _ => "but the TTL controller of kube-controller-manager has not done it: it does not work, or its DELETE is \
              refused"
            .to_owned(),
    };
    found.push(
        Finding::new(
            Code::TtlNotObeyed,
            Severity::Blocking,
            job,
            format!("{job} has finished and should have been deleted {over} s ago, {why}"),
        )
        .since(Some(ended))
        .seen(format!("ended at {ended:.0}, ttlSecondsAfterFinished {ttl}"))
        .next(controller_manager()),
    );
}

fn webhooks(facts: &Facts, found: &mut Vec<Finding>) {
    let job = &facts.reference;
    if let Known::Seen(Probe::Refused(message)) = &facts.job_update {
        found.push(
            Finding::new(Code::WebhookBreaksJobUpdate, Severity::Blocking, job, format!(
                "No change of {job} passes admission, so neither the garbage collector nor the Job controller can do its \
                 work on it"
            ))
            .seen(format!("a change that was only tried (dry run): {message}"))
            .next(webhook_configurations()),
        );
    }
    if let Known::Seen(Probe::Refused(message)) = &facts.job_delete {
        found.push(
            Finding::new(
                Code::WebhookRefusesDelete,
                Severity::Blocking,
                job,
                format!("{job} cannot be deleted: admission refuses it"),
            )
            .seen(format!("the answer to a DELETE: {message}"))
            .next(webhook_configurations()),
        );
    }
    if let Known::Seen(Probe::Refused(message)) = &facts.pod_update {
        found.push(
            Finding::new(
                Code::WebhookBreaksPodUpdate,
                Severity::Blocking,
                job,
                format!("No change of the Pods of {job} passes admission, so they keep their finalizers and owners"),
            )
            .seen(format!("a change that was only tried (dry run): {message}"))
            .next(webhook_configurations()),
        );
    }
}

/// The reason why the garbage collector has not removed the finalizer, as far as it is known.
fn why_not(facts: &Facts) -> String {
    match &facts.job_update {
        Known::Seen(Probe::Refused(_)) => "; it cannot, because no change of the Job passes admission".into(),
        Known::Seen(Probe::Accepted) => {
            "; changes of the Job pass admission, so it is down, frozen, not the leader, or overloaded".into()
        }
        Known::Not(why) => format!(
            "; it is down, frozen, not the leader or overloaded, or a webhook refuses changes of the Job \
             (which of these is {why})"
        ),
    }
}

fn accepted(facts: &Facts, policy: &str) -> String {
    let at = facts.deleted_at().map_or_else(String::new, |time| format!(" at {time:.0}"));
    format!("its deletion was accepted{at} with propagation policy {policy}; finalizers {}", quoted(facts.finalizers()))
}

/// The Pods that run on without an owner after a deletion with the policy Orphan.
fn left_behind(facts: &Facts) -> Option<String> {
    let running: Vec<_> = facts.pods().filter(|pod| !work_has_stopped(pod)).collect();
    (!running.is_empty()).then(|| format!("its Pods run on and will have no owner: {}", pod_names(running)))
}

fn blocks(pod: &Pod, uid: &str) -> bool {
    let mut owners = pod.metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.uid == uid && owner.block_owner_deletion == Some(true))
}

fn wait_for_pods(facts: &Facts) -> Command {
    pods_of(&facts.reference).comment("first make sure that these Pods have stopped")
}

/// The command that shows the Pods of a Job.
pub(crate) fn pods_of(job: &JobReference) -> Command {
    Command::kubectl_in(&job.namespace, &["get", "pods", "-o", "wide", "-l"])
        .name_after("batch.kubernetes.io/controller-uid=", &job.uid)
}

/// The command that does what this package can do about a Job.
pub(crate) fn fix(job: &JobReference) -> Command {
    Command::new(&["unique-k8s-job", "doctor", "--namespace"])
        .name(&job.namespace)
        .words(&["--job"])
        .name(&job.name)
        .words(&["--fix"])
}

fn release(facts: &Facts) -> Command {
    fix(&facts.reference)
        .comment("sends a second DELETE with propagationPolicy Background for this uid, which frees it at once")
}

/// The command that shows whether the controllers work, even if their Pods are not visible.
pub(crate) fn controller_manager() -> Command {
    Command::new(&["kubectl", "-n", "kube-system", "get", "lease", "kube-controller-manager", "-o", "yaml"]).comment(
        "if renewTime is older than a minute, no controller manager works. If there is no such lease, check its process",
    )
}

pub(crate) fn webhook_configurations() -> Command {
    Command::new(&["kubectl", "get", "validatingwebhookconfigurations,mutatingwebhookconfigurations"])
        .comment("the owner of the webhook named above has to repair or remove it")
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
