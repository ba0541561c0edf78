//! Decides what a Pod means whose base container has ended while a sidecar keeps it running. Pure.
//!
//! A classic injected sidecar (as of Istio) is an ordinary container and does not know that the work is over: the Pod
//! never ends, so neither does the Job. Native sidecars (init containers with `restartPolicy: Always`) are ended by the
//! kubelet and do not matter here.
//!
//! A Pod *lingers* if its base container (the one named `base`, else the first of the template) has ended for good,
//! another container still runs, and this has lasted for [`LINGERS_AFTER`]. If the user chose `finish`, the exit code
//! of the base container then counts for the Pod, and the Job is over in one of two cases:
//! - The Job has succeeded once the Pods that succeeded and those that linger with code 0 prove every completion, as
//!   they would prove it of a Job that vanished (so never with a `successPolicy`).
//! - The Job has failed once a base container ended with another code, only lingering Pods are left and the completions
//!   are not proven. `backoffLimit` does not help here: the retry that it allows needs the end of a Pod that never
//!   ends. Airflow's own retries still apply.
//!
//! A Job that needs more Pods than run at once (`completions` above `parallelism`) is waited for: each Pod that lingers
//! blocks the next one, so the last Pods never run.

use std::{collections::BTreeMap, time::Duration};

use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use crate::model::lingering::Lingering;
use crate::model::lingering::lingering;
use crate::model::{
    conditions::{JobEnd, proven_by_pods},
    message::Message,
    pod::work_has_stopped,
    policies::OnLingeringSidecar,
    snapshot::JobSnapshot,
};

/// How long a sidecar has to end by itself after its base container.
pub const LINGERS_AFTER: Duration = Duration::from_secs(10);

/// Watches over the lingering Pods of one Job.
#[derive(Debug)]
pub struct Sidecars {
    choice: OnLingeringSidecar,
    /// Since when each Pod lingers, by its uid.
    since: BTreeMap<String, Instant>,
}

/// The result of one evaluation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SidecarVerdict {
    /// Go on, and evaluate again at this moment, if there is one.
    Wait(Option<Instant>),
    /// The Job is over; these Pods linger.
    Over(JobEnd, Vec<Lingering>),
}

impl Sidecars {
    /// A watcher with this choice of the user.
    #[must_use]
    pub fn new(choice: OnLingeringSidecar) -> Self {
        Self { choice, since: BTreeMap::new() }
    }

    /// Judges the snapshot.
    pub fn evaluate(&mut self, now: Instant, snapshot: &JobSnapshot) -> SidecarVerdict {
        let undecided =
            snapshot.end.is_none() && snapshot.job.pause().is_none() && self.choice == OnLingeringSidecar::Finish;
        let Some(spec) = snapshot.job.job.spec.as_ref().filter(|_| undecided) else {
            return SidecarVerdict::Wait(None);
        };
        // A Pod that is being deleted and whose containers have ended does no more work, whatever its phase says.
        let living = || snapshot.pods.iter().filter(|(_, seen)| !seen.gone && !work_has_stopped(&seen.pod));
        let found: BTreeMap<&String, Lingering> =
            living().filter_map(|(uid, seen)| lingering(spec, &seen.pod).map(|found| (uid, found))).collect();
        self.since.retain(|uid, _| found.contains_key(uid));
        for uid in found.keys() {
            self.since.entry((*uid).clone()).or_insert(now);
        }
        let (due, early): (Vec<_>, Vec<_>) = self.since.values().partition(|since| now >= **since + LINGERS_AFTER);
        let next = early.into_iter().min().map(|since: &Instant| *since + LINGERS_AFTER);
        let all_due = due.len() == found.len() && !found.is_empty();
        if !all_due {
            return SidecarVerdict::Wait(next);
        }
        let over = |end| SidecarVerdict::Over(end, found.values().cloned().collect());
        if proven_by_pods(spec, as_if_ended(snapshot, &found).iter()) {
            return over(JobEnd::Succeeded);
        }
        let only_lingering = living().all(|(uid, _)| found.contains_key(uid));
        match found.values().find(|lingering| lingering.exit_code != 0) {
            Some(failed) if only_lingering => over(JobEnd::Failed {
                reason: "LingeringSidecar".to_owned(),
                message: format!(
                    "container `{}` of Pod `{}` ended with exit code {} while {} runs on",
                    failed.base,
                    failed.pod,
                    failed.exit_code,
                    names(&failed.sidecars)
                ),
            }),
            _ => SidecarVerdict::Wait(None),
        }
    }
}

/// The message about a Job that is over although its Pods run on.
#[must_use]
pub fn over(lingering: &[Lingering]) -> Message {
    let pods = lingering.iter().map(|Lingering { pod, base, exit_code, sidecars }| {
        format!("container `{base}` of Pod `{pod}` ended with exit code {exit_code} while {} runs on", names(sidecars))
    });
    let pods = pods.collect::<Vec<_>>().join("; ");
    Message::warning("sidecar-lingers", format!("on_lingering_sidecar=\"finish\": the Job is over, since {pods}"))
}

fn names(containers: &[String]) -> String {
    containers.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The Pods, with the phases that the exit codes of their base containers stand for.
fn as_if_ended(snapshot: &JobSnapshot, found: &BTreeMap<&String, Lingering>) -> Vec<Pod> {
    let pods = snapshot.pods.iter().map(|(uid, seen)| (uid, Pod::clone(&seen.pod)));
    pods.map(|(uid, mut pod)| {
        if let (Some(lingering), Some(status)) = (found.get(uid), pod.status.as_mut()) {
            status.phase = Some(if lingering.exit_code == 0 { "Succeeded" } else { "Failed" }.to_owned());
        }
        pod
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::observed_job::ObservedJob;

    fn snapshot(spec: &Value, pods: &[Value]) -> JobSnapshot {
        let mut whole = json!({"completions": 1, "parallelism": 1, "template": {"spec": {"restartPolicy": "Never",
            "containers": [{"name": "base"}, {"name": "proxy"}]}}});
        json_patch::merge(&mut whole, spec);
        let job = json!({"metadata": {"namespace": "etl", "name": "train", "uid": "u"}, "spec": whole});
        let mut snapshot = JobSnapshot::new(ObservedJob::read(&job).unwrap());
        for pod in pods {
            snapshot.apply_pod_object(pod.clone(), false);
        }
        snapshot
    }

    /// A Pod whose first container is in this state and whose second one runs, or not.
    fn pod(name: &str, base: &Value, proxy_runs: bool) -> Value {
        let proxy = if proxy_runs { json!({"running": {}}) } else { json!({"terminated": {"exitCode": 0}}) };
        let container = |name: &str, state: &Value| json!({"name": name, "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": state});
        let labels = json!({"batch.kubernetes.io/job-completion-index": name});
        json!({"metadata": {"name": name, "uid": name, "labels": labels}, "status": {"phase": "Running",
            "containerStatuses": [container("base", base), container("proxy", &proxy)]}})
    }

    fn lingers(name: &str, exit_code: i32) -> Value {
        pod(name, &json!({"terminated": {"exitCode": exit_code}}), true)
    }

    fn runs(name: &str) -> Value {
        pod(name, &json!({"running": {}}), true)
    }

    fn phase(name: &str, phase: &str) -> Value {
        let mut pod = pod(name, &json!({"terminated": {"exitCode": 0}}), false);
        pod["status"]["phase"] = json!(phase);
        pod
    }

    fn deleted(mut pod: Value) -> Value {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:30Z");
        pod
    }

    /// The end that a view which never changes comes to.
    fn end(snapshot: &JobSnapshot) -> Option<JobEnd> {
        let begin = Instant::now();
        let mut sidecars = Sidecars::new(OnLingeringSidecar::Finish);
        match sidecars.evaluate(begin, snapshot) {
            SidecarVerdict::Wait(Some(next)) => match sidecars.evaluate(next, snapshot) {
                SidecarVerdict::Over(end, _) => Some(end),
                SidecarVerdict::Wait(None) => None,
                SidecarVerdict::Wait(Some(_)) => panic!("never decided"),
            },
            SidecarVerdict::Wait(None) => None,
            SidecarVerdict::Over(..) => panic!("over at first sight"),
        }
    }

    #[tokio::test]
    async fn end_of_a_job_with_lingering_pods_is_this_table() {
        let two = json!({"completions": 2, "parallelism": 2});
        let cases: [(&str, Value, Vec<Value>, Option<bool>); 18] = [
            ("the work is done well", json!({}), vec![lingers("0", 0)], Some(true)),
            ("the work failed", json!({}), vec![lingers("0", 3)], Some(false)),
            ("the work goes on", json!({}), vec![runs("0")], None),
            ("nothing lingers", json!({}), vec![phase("0", "Succeeded")], None),
            ("backoffLimit cannot help", json!({"backoffLimit": 6}), vec![lingers("0", 3)], Some(false)),
            (
                "the kubelet runs it again",
                json!({"template": {"spec": {"restartPolicy": "OnFailure"}}}),
                vec![lingers("0", 3)],
                None,
            ),
            (
                "OnFailure, done well",
                json!({"template": {"spec": {"restartPolicy": "OnFailure"}}}),
                vec![lingers("0", 0)],
                Some(true),
            ),
            (
                "a retry after a failed Pod",
                json!({"backoffLimit": 1}),
                vec![phase("a", "Failed"), lingers("b", 0)],
                Some(true),
            ),
            ("both of two linger", two.clone(), vec![lingers("0", 0), lingers("1", 0)], Some(true)),
            ("one of two still works", two.clone(), vec![lingers("0", 0), runs("1")], None),
            ("one of two failed, the other works", two.clone(), vec![lingers("0", 3), runs("1")], None),
            ("one of two failed", two.clone(), vec![lingers("0", 3), lingers("1", 0)], Some(false)),
            ("one of two ended by itself", two.clone(), vec![phase("0", "Succeeded"), lingers("1", 0)], Some(true)),
            ("more Pods are to come", json!({"completions": 3, "parallelism": 1}), vec![lingers("0", 0)], None),
            (
                "all indexes",
                json!({"completions": 2, "parallelism": 2, "completionMode": "Indexed"}),
                vec![lingers("0", 0), lingers("1", 0)],
                Some(true),
            ),
            ("a Pod that is evicted may be replaced", json!({}), vec![deleted(lingers("0", 143))], None),
            ("a suspended Job may go on later", json!({"suspend": true}), vec![lingers("0", 143)], None),
            ("a success policy is not guessed", json!({"successPolicy": {"rules": []}}), vec![lingers("0", 0)], None),
        ];
        for (name, spec, pods, expected) in cases {
            let end = end(&snapshot(&spec, &pods));
            assert_eq!(end.as_ref().map(|end| *end == JobEnd::Succeeded), expected, "{name}: {end:?}");
        }
    }

    #[tokio::test]
    async fn nothing_is_decided_where_the_user_waits() {
        let snapshot = snapshot(&json!({}), &[lingers("0", 0)]);
        assert_eq!(
            Sidecars::new(OnLingeringSidecar::Wait).evaluate(Instant::now(), &snapshot),
            SidecarVerdict::Wait(None)
        );
    }

    #[tokio::test]
    async fn sidecar_that_ends_within_its_time_decides_nothing() {
        let begin = Instant::now();
        let mut sidecars = Sidecars::new(OnLingeringSidecar::Finish);
        let later = begin + LINGERS_AFTER;
        assert_eq!(
            sidecars.evaluate(begin, &snapshot(&json!({}), &[lingers("0", 0)])),
            SidecarVerdict::Wait(Some(later))
        );
        assert_eq!(
            sidecars.evaluate(later, &snapshot(&json!({}), &[phase("0", "Succeeded")])),
            SidecarVerdict::Wait(None)
        );
    }

    #[test]
    fn base_is_the_container_of_that_name_else_the_first_of_the_template() {
        let spec = |first: &str, second: &str| {
            let containers = json!([{"name": first}, {"name": second}]);
            snapshot(&json!({"template": {"spec": {"containers": containers}}}), &[]).job.job.spec.clone().unwrap()
        };
        let pod: Pod = serde_json::from_value(lingers("p", 3)).unwrap();
        let found = lingering(&spec("proxy", "base"), &pod).unwrap();
        assert_eq!((found.base.as_str(), found.exit_code, found.sidecars), ("base", 3, vec!["proxy".to_owned()]));
        assert_eq!(lingering(&spec("proxy", "other"), &pod), None, "the first one runs");
    }

    #[test]
    fn sidecar_that_crashes_again_and_again_lingers_where_it_is_started_again() {
        for (policy, lingers) in [("OnFailure", true), ("Never", false)] {
            let spec =
                snapshot(&json!({"template": {"spec": {"restartPolicy": policy}}}), &[]).job.job.spec.clone().unwrap();
            for state in [json!({"waiting": {"reason": "CrashLoopBackOff"}}), json!({"terminated": {"exitCode": 1}})] {
                let mut pod = pod("p", &json!({"terminated": {"exitCode": 0}}), true);
                pod["status"]["containerStatuses"][1]["state"] = state.clone();
                pod["status"]["containerStatuses"][1]["restartCount"] = json!(3);
                let pod: Pod = serde_json::from_value(pod).unwrap();
                assert_eq!(lingering(&spec, &pod).is_some(), lingers, "{policy} {state}");
            }
        }
    }
}
