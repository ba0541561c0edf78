//! Sums up the Pods of a Job that has many, for the task log: how many are done, have failed, run. Pure.
//!
//! Promise: at most one line a second while Pods end, less often the longer the Job takes, and at least one a minute. Where
//! no Pod has ended since the last line, ten seconds pass before the next. The last counts are said once the end is decided.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{
    conditions::in_ranges, message::Message, pod::phase, pod_reason::pod_condition, snapshot::JobSnapshot,
};

/// A Job that wants more Pods than this has many: their steps one by one are more than anybody reads.
const FEW: i32 = 3;
/// The pause between two lines, at first and at last.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// The pause where no Pod has ended meanwhile.
const NONE_ENDED: Duration = Duration::from_secs(10);
/// In between it is this part of the time that has passed.
const PART: u32 = 20;

/// Whether the Job wants so many Pods that they are summed up.
pub(super) fn has_many_pods(snapshot: &JobSnapshot) -> bool {
    let spec = snapshot.job.job.spec.as_ref();
    let wanted = spec.map(|spec| spec.completions.unwrap_or(1).max(spec.parallelism.unwrap_or(1)));
    wanted.is_some_and(|wanted| wanted > FEW)
}

/// Says the counts of one Job.
#[derive(Debug)]
pub(super) struct PodCounts {
    /// When the next line may come, if there is something to say.
    pub due: Option<Instant>,
    begun: Instant,
    last: Option<Instant>,
    said: Option<Counts>,
}

/// What is said of a Job.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Counts {
    /// What has ended.
    ended: String,
    /// What has not.
    living: String,
}

impl PodCounts {
    pub fn new() -> Self {
        Self { due: None, begun: Instant::now(), last: None, said: None }
    }

    /// The line that is due now.
    pub fn observe(&mut self, snapshot: &JobSnapshot) -> Option<Message> {
        self.due = None;
        if !has_many_pods(snapshot) {
            return None;
        }
        let counts = counts(snapshot)?;
        if self.said.as_ref() == Some(&counts) {
            return None;
        }
        let now = Instant::now();
        let mut pause = (now.duration_since(self.begun) / PART).clamp(SHORTEST, LONGEST);
        if self.said.as_ref().is_some_and(|said| said.ended == counts.ended) {
            pause = pause.max(NONE_ENDED);
        }
        let due = self.last.map_or(now, |last| last + pause);
        if due > now && snapshot.end.is_none() {
            self.due = Some(due);
            return None;
        }
        self.last = Some(now);
        let text = [counts.ended.as_str(), &counts.living].join(if counts.living.is_empty() { "" } else { ", " });
        self.said = Some(counts);
        Some(Message::info("pod-counts", text))
    }
}

/// `12 of 20 indexes done, 1 failed, 5 running`; none as long as nothing has happened.
fn counts(snapshot: &JobSnapshot) -> Option<Counts> {
    let (spec, status) = (snapshot.job.job.spec.as_ref()?, snapshot.job.job.status.as_ref()?);
    let indexed = spec.completion_mode.as_deref() == Some("Indexed");
    let number = |count: Option<i32>| usize::try_from(count.unwrap_or(0)).unwrap_or(0);
    let done = match &status.completed_indexes {
        Some(ranges) if indexed => in_ranges(ranges),
        _ => number(status.succeeded),
    };
    let (mut running, mut starting, mut waiting) = (0, 0, 0);
    for seen in snapshot.pods.values().filter(|seen| !seen.gone) {
        match phase(&seen.pod) {
            "Running" => running += 1,
            "Pending"
                if pod_condition(&seen.pod, "PodScheduled").is_some_and(|scheduled| scheduled.status == "False") =>
            {
                waiting += 1;
            }
            "Pending" => starting += 1,
            _ => {}
        }
    }
    let of = spec.completions.map_or_else(String::new, |all| format!(" of {all}"));
    let what = if indexed { "indexes" } else { "Pods" };
    let failed = match (&status.failed_indexes, number(status.failed)) {
        (Some(ranges), _) if in_ranges(ranges) > 0 => format!("{} failed", in_ranges(ranges)),
        (_, 0) => String::new(),
        (_, 1) => "1 Pod failed".to_owned(),
        (_, failed) => format!("{failed} Pods failed"),
    };
    // Without a right to list Pods, or before the first is seen, it is not known which of them run.
    let active = if snapshot.pods.is_empty() { number(status.active) } else { 0 };
    let begun = done + running + starting + waiting + active + number(status.failed) > 0;
    let counted = |count: usize, how: &str| (count > 0).then(|| format!("{count} {how}"));
    let living = [
        counted(running, "running"),
        counted(starting, "starting"),
        counted(waiting, "without a node"),
        counted(active, "running or starting"),
    ];
    let ended =
        if failed.is_empty() { format!("{done}{of} {what} done") } else { format!("{done}{of} {what} done, {failed}") };
    begun.then(|| Counts { ended, living: living.into_iter().flatten().collect::<Vec<_>>().join(", ") })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::observed_job::ObservedJob;

    fn job(spec: &Value, status: &Value) -> ObservedJob {
        let job =
            json!({"metadata": {"namespace": "etl", "name": "train", "uid": "u"}, "spec": spec, "status": status});
        ObservedJob::read(&job).unwrap()
    }

    fn indexed(status: &Value) -> ObservedJob {
        let spec = json!({"template": {}, "completionMode": "Indexed", "completions": 20, "parallelism": 5});
        job(&spec, status)
    }

    fn with_pods(mut snapshot: JobSnapshot, phases: &[&str]) -> JobSnapshot {
        for (number, phase) in phases.iter().enumerate() {
            let name = format!("p{number}");
            let mut pod = json!({"metadata": {"name": name, "uid": name}, "status": {"phase": phase}});
            if *phase == "Unschedulable" {
                pod["status"] =
                    json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False"}]});
            }
            snapshot.apply_pod_object(pod, false);
        }
        snapshot
    }

    #[tokio::test]
    async fn counts_are_those_of_the_job_and_of_its_pods() {
        let pods = ["Running", "Running", "Pending", "Succeeded", "Failed", "Unschedulable"];
        let queue = json!({"template": {}, "parallelism": 5});
        let cases = [
            (indexed(&json!({})), &pods[..0], None),
            (
                indexed(&json!({"completedIndexes": "0-10,12", "failedIndexes": "11"})),
                &pods[..],
                Some("12 of 20 indexes done, 1 failed, 2 running, 1 starting, 1 without a node"),
            ),
            (indexed(&json!({"failed": 2})), &pods[..2], Some("0 of 20 indexes done, 2 Pods failed, 2 running")),
            (indexed(&json!({"active": 5})), &pods[..0], Some("0 of 20 indexes done, 5 running or starting")),
            (
                job(&queue, &json!({"succeeded": 1, "failed": 1})),
                &pods[..1],
                Some("1 Pods done, 1 Pod failed, 1 running"),
            ),
        ];
        for (job, pods, expected) in cases {
            let said = PodCounts::new().observe(&with_pods(JobSnapshot::new(job), pods)).map(|message| message.text);
            assert_eq!(said.as_deref(), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn counts_that_change_all_the_time_are_said_once_a_second_and_then_less_often() {
        let mut counts = PodCounts::new();
        let mut said = Vec::new();
        for number in 0..36_000 {
            let text = format!("0-{}", number % 19);
            let snapshot = JobSnapshot::new(indexed(&json!({"completedIndexes": text})));
            said.extend(counts.observe(&snapshot).map(|_| number / 10));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(said.windows(2).all(|two| two[0] < two[1]), "twice within a second");
        assert!(said.iter().filter(|second| **second < 20).count() >= 19, "{said:?}");
        assert!((60..140).contains(&said.len()), "{} lines in an hour", said.len());
    }

    #[tokio::test(start_paused = true)]
    async fn pods_that_only_start_are_said_every_ten_seconds() {
        let mut counts = PodCounts::new();
        let mut said = 0;
        for number in 0..200 {
            let phases = vec!["Running"; number % 5 + 1];
            let snapshot = with_pods(JobSnapshot::new(indexed(&json!({"completedIndexes": "0"}))), &phases);
            said += usize::from(counts.observe(&snapshot).is_some());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(said, 2, "in 20 s");
    }

    #[tokio::test(start_paused = true)]
    async fn job_of_few_pods_is_not_summed_up_and_the_last_counts_are_said_at_the_end() {
        let few = job(&json!({"template": {}, "completions": 3, "parallelism": 3}), &json!({"active": 3}));
        assert_eq!(PodCounts::new().observe(&JobSnapshot::new(few)), None);
        let mut counts = PodCounts::new();
        assert!(counts.observe(&JobSnapshot::new(indexed(&json!({"active": 5})))).is_some());
        let more = json!({"completedIndexes": "0-18", "active": 1});
        assert_eq!(counts.observe(&JobSnapshot::new(indexed(&more))), None);
        assert!(counts.due.is_some());
        let conditions = json!([{"type": "SuccessCriteriaMet", "status": "True"}]);
        let over = json!({"completedIndexes": "0-19", "conditions": conditions});
        let last = counts.observe(&JobSnapshot::new(indexed(&over))).unwrap();
        assert_eq!(last.text, "20 of 20 indexes done");
    }
}
