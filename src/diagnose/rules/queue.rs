//! Finds Jobs that wait in a queue of Kueue, and says why they wait.

use crate::{
    diagnose::{
        facts::{Facts, Known},
        finding::{Code, Finding, Severity},
    },
    model::{
        conditions::suspended_since,
        job::Job,
        workload::{AdmissionProspect, FoundWorkload, QUEUE_NAME},
    },
    text::Command,
};

/// The seconds that Kueue may need to make a Workload.
const MADE_WITHIN: u64 = 10;

/// The finding about a suspended Job of this queue.
pub(crate) fn waits(facts: &Facts, job: &Job, queue: &str) -> Finding {
    let reference = &facts.reference;
    let since = suspended_since(job);
    let (reason, prospect) = match &facts.queue.workload {
        Known::Seen(FoundWorkload::Found(workload)) => workload.reason(),
        Known::Seen(FoundWorkload::NotServed) => {
            ("this cluster has no Kueue that could admit it".to_owned(), AdmissionProspect::Hopeless)
        }
        Known::Seen(FoundWorkload::Missing) if facts.waited(since, MADE_WITHIN) => (
            "Kueue has made no Workload for it, so it may not see this namespace".to_owned(),
            AdmissionProspect::Hopeless,
        ),
        Known::Seen(FoundWorkload::Missing) | Known::Not(_) => {
            ("Kueue has not admitted it yet".to_owned(), AdmissionProspect::Open)
        }
    };
    let waits = facts.queue.position.map_or_else(|| "waits".to_owned(), |position| format!("waits {position}"));
    let severity = match prospect {
        AdmissionProspect::Open => Severity::Info,
        AdmissionProspect::Hopeless => Severity::Blocking,
    };
    let next = match prospect {
        AdmissionProspect::Open => "shows what waits in its queues, and behind what",
        AdmissionProspect::Hopeless => "shows whether the queue is there. Ask who runs Kueue in this cluster",
    };
    Finding::new(
        Code::KueueNotAdmitted,
        severity,
        reference,
        format!("{reference} {waits} in the queue `{queue}`: {reason}"),
    )
    .since(since)
    .seen(format!("spec.suspend is true, label {QUEUE_NAME}={queue}"))
    .next(Command::kubectl_in(&reference.namespace, &["get", "workloads,localqueues"]).comment(next))
}
