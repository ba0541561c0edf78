//! The outcome of one attempt's Job as it is reported: state, reason, containers, times, and a paragraph. Pure.

use std::fmt::Write as _;

use serde::Serialize;

use super::{
    outcome::{ContainerEnd, End, State, container_ends, proven_by_pods},
    seen::JobReference,
    timeline::timeline,
    view::{Times, View},
};

/// At most this many containers are named in the paragraph; all are in the list.
const NAMED: usize = 5;

/// What an attempt reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// How it ended.
    pub state: State,
    /// Such as `BackoffLimitExceeded`; none after success.
    pub reason: Option<String>,
    /// The controller's sentence.
    pub message: Option<String>,
    /// The exit code of the base container, when exactly one Pod failed.
    pub exit_code: Option<i32>,
    /// How each container ended.
    pub containers: Vec<ContainerEnd>,
    /// Containers that still ran when the Job was over (`on_lingering_sidecar="finish"`).
    pub lingering: Vec<String>,
    /// The moments of its life.
    pub times: Times,
    /// Which Job.
    pub job: JobReference,
    /// A paragraph for people.
    pub summary: String,
    /// The small table for the end of the log.
    pub timeline: String,
}

impl Outcome {
    /// Concludes from all that was seen. `gone` says that the Job does not exist any more.
    #[must_use]
    pub fn conclude(view: &View, gone: bool) -> Self {
        let job = view.job.reference.clone();
        let spec = view.job.job.spec.as_ref();
        let proven = || spec.is_some_and(|spec| proven_by_pods(spec, view.pods().into_iter()));
        let (state, reason, message) = match &view.end {
            Some(End::Succeeded) => (State::Succeeded, None, None),
            Some(End::Failed { reason, message }) => (State::Failed, Some(reason.clone()), Some(message.clone())),
            None if gone && proven() => (State::Succeeded, None, Some("proven by its Pods".to_owned())),
            None => (State::Vanished, None, None),
        };
        let containers = container_ends(view.pods().into_iter());
        let times = view.times();
        let summary = summary(state, &job, reason.as_deref(), message.as_deref(), &containers);
        let timeline = timeline(&job, &times);
        Self {
            exit_code: exit_code(view, state, &containers),
            state,
            reason,
            message,
            containers,
            lingering: Vec::new(),
            times,
            job,
            summary,
            timeline,
        }
    }
}

/// The base container is the one named `base`, else the first of the Pod template.
fn exit_code(view: &View, state: State, containers: &[ContainerEnd]) -> Option<i32> {
    if state == State::Succeeded {
        return Some(0);
    }
    let template = view.job.job.spec.as_ref()?.template.spec.as_ref()?;
    let base = template.containers.iter().find(|c| c.name == "base").or(template.containers.first())?;
    let mut failed = containers.iter().filter(|end| end.container == base.name && end.exit_code != 0);
    match (failed.next(), failed.next()) {
        (Some(only), None) => Some(only.exit_code),
        _ => None,
    }
}

fn summary(
    state: State,
    job: &JobReference,
    reason: Option<&str>,
    message: Option<&str>,
    ends: &[ContainerEnd],
) -> String {
    let mut text = match state {
        State::Succeeded => format!("{job} succeeded"),
        State::Failed => format!("{job} failed"),
        State::Vanished => format!("{job} vanished before its end was seen; its outcome is unknown"),
    };
    for part in [reason, message].into_iter().flatten().filter(|part| !part.is_empty()) {
        let _ = write!(text, ": {part}");
    }
    let failed: Vec<_> = ends.iter().filter(|end| end.exit_code != 0).collect();
    for end in failed.iter().take(NAMED) {
        let _ = write!(text, "\n  seen: container `{}` of Pod `{}`: {}", end.container, end.pod, end.words);
        if let Some(message) = &end.message {
            let _ = write!(text, "; it said: {}", message.trim_end());
        }
    }
    if failed.len() > NAMED {
        let _ = write!(text, "\n  seen: {} more containers failed", failed.len() - NAMED);
    }
    if state == State::Vanished {
        let _ = write!(
            text,
            "\n  seen: no Job of uid {} any more\n  hint: the audit log of the API server names who deleted it; a retry runs it afresh",
            job.uid
        );
    }
    text
}
