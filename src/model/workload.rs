//! Reads what Kueue says about a Job that waits in one of its queues: the conditions of the Job's Workload. Pure.
//!
//! Kueue keeps the Job suspended until it admits the Workload, and suspends it again if it evicts it. Source:
//! <https://kueue.sigs.k8s.io/docs/tasks/troubleshooting/troubleshooting_jobs/>.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, OwnerReference};
use serde::Deserialize;

use crate::text::one_line;

/// The label of a Job that names its queue, a `LocalQueue` of its namespace.
pub(crate) const QUEUE_NAME: &str = "kueue.x-k8s.io/queue-name";
/// The label of a Workload that holds the uid of its Job.
pub(crate) const JOB_UID: &str = "kueue.x-k8s.io/job-uid";

/// What a search for the Workload of a Job found.
#[derive(Debug, Clone, PartialEq)]
pub enum FoundWorkload {
    /// The cluster does not serve Workloads: there is no Kueue.
    NotServed,
    /// Kueue has made no Workload for the Job.
    Missing,
    /// The Workload.
    Found(Workload),
}

/// The Workload of a Job, as far as it tells why the Job waits.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Workload {
    spec: WorkloadSpec,
    status: WorkloadStatus,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct WorkloadSpec {
    active: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct WorkloadStatus {
    conditions: Vec<Condition>,
    admission_checks: Vec<AdmissionCheckState>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
struct AdmissionCheckState {
    name: String,
    state: String,
    message: String,
}

/// Whether a wait for an admission can end without somebody who changes something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmissionProspect {
    /// Quota may become free.
    Open,
    /// The queue does not exist or is not active, or the Workload was deactivated.
    Hopeless,
}

/// The Workloads that wait in a queue, from the first one on: what Kueue's visibility API answers. Source:
/// <https://kueue.sigs.k8s.io/docs/tasks/manage/monitor_pending_workloads/pending_workloads_on_demand/>.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct PendingWorkloads {
    items: Vec<PendingWorkload>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PendingWorkload {
    metadata: ObjectMeta,
    /// It counts from 0.
    position_in_local_queue: usize,
}

/// Where the Job stands in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueuePosition {
    /// Its place, from 1 on, of so many.
    Of(usize, usize),
    /// Its place, from 1 on, of more than so many.
    OfMoreThan(usize, usize),
    /// It stands behind so many others, or more.
    Behind(usize),
}

impl PendingWorkloads {
    /// Where the Job with this uid stands; none if it does not wait here any more.
    ///
    /// `most` is how many were asked for: if so many came, there may be more.
    #[must_use]
    pub fn position(&self, job: &str, most: usize) -> Option<QueuePosition> {
        let owned = |owner: &OwnerReference| owner.uid == job;
        let owns = |item: &&PendingWorkload| item.metadata.owner_references.iter().flatten().any(owned);
        let (number, is_whole) = (self.items.len(), self.items.len() < most);
        match self.items.iter().find(owns).map(|item| item.position_in_local_queue + 1) {
            Some(place) if is_whole => Some(QueuePosition::Of(place, number.max(place))),
            Some(place) => Some(QueuePosition::OfMoreThan(place, number)),
            None => (!is_whole).then_some(QueuePosition::Behind(number)),
        }
    }
}

impl fmt::Display for QueuePosition {
    /// As it stands between "waits" and "in the queue".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(place, number) => write!(f, "at place {place} of {number}"),
            Self::OfMoreThan(place, number) => write!(f, "at place {place} of more than {number}"),
            Self::Behind(number) => write!(f, "behind {number} others or more"),
        }
    }
}

impl Workload {
    /// Whether the Workload waits for quota in its queue, so that it has a position there.
    #[must_use]
    pub fn waits_for_quota(&self) -> bool {
        let reserved = self.condition("QuotaReserved").is_some_and(|quota| quota.status == "True");
        !reserved && self.reason().1 == AdmissionProspect::Open
    }

    /// Why the Job waits, as a clause, and whether waiting helps.
    #[must_use]
    pub fn reason(&self) -> (String, AdmissionProspect) {
        let (waits, prospect) = self.waits();
        match self.evicted() {
            Some(evicted) => (format!("Kueue has evicted it ({evicted}); {waits}"), prospect),
            None => (waits, prospect),
        }
    }

    fn waits(&self) -> (String, AdmissionProspect) {
        if self.spec.active == Some(false) {
            return ("its Workload is deactivated (spec.active is false)".to_owned(), AdmissionProspect::Hopeless);
        }
        let Some(quota) = self.condition("QuotaReserved") else {
            return ("Kueue has not tried to admit it yet".to_owned(), AdmissionProspect::Open);
        };
        if quota.status == "True" {
            return (self.checks(), AdmissionProspect::Open);
        }
        let said = one_line(&quota.message);
        // "doesn't exist", "is inactive", "is stopped": the words are those of Kueue.
        if quota.reason == "Inadmissible" {
            return (format!("Kueue cannot admit it: {said}"), AdmissionProspect::Hopeless);
        }
        (if said.is_empty() { "Kueue has not admitted it yet".to_owned() } else { said }, AdmissionProspect::Open)
    }

    /// The quota is reserved, and something else has to agree.
    fn checks(&self) -> String {
        let pending = self.status.admission_checks.iter().filter(|check| check.state != "Ready");
        let named: Vec<_> = pending
            .map(|check| match one_line(&check.message) {
                said if said.is_empty() => format!("`{}` is {}", check.name, check.state),
                said => format!("`{}` is {} ({said})", check.name, check.state),
            })
            .collect();
        if named.is_empty() {
            return "its quota is reserved, and Kueue has not started it yet".to_owned();
        }
        format!("its quota is reserved, and not every admission check has passed: {}", named.join(", "))
    }

    fn evicted(&self) -> Option<String> {
        let evicted = self.condition("Evicted").filter(|condition| condition.status == "True")?;
        let said = one_line(&evicted.message);
        Some(if said.is_empty() { evicted.reason.clone() } else { format!("{}: {said}", evicted.reason) })
    }

    fn condition(&self, type_: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|condition| condition.type_ == type_)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
        json!({"type": type_, "status": status, "reason": reason, "message": message,
               "lastTransitionTime": "2026-01-06T10:00:00Z"})
    }

    fn reason(status: &Value) -> (String, AdmissionProspect) {
        serde_json::from_value::<Workload>(json!({"spec": {"queueName": "team-a"}, "status": status})).unwrap().reason()
    }

    #[test]
    fn reason_is_what_the_conditions_say() {
        let no_quota = condition(
            "QuotaReserved",
            "False",
            "Pending",
            "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor spot, 9 more needed",
        );
        let reserved = condition("QuotaReserved", "True", "QuotaReserved", "Quota reserved in ClusterQueue all");
        let cases = [
            (json!({}), "Kueue has not tried to admit it yet", AdmissionProspect::Open),
            (
                json!({"conditions": [no_quota]}),
                "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor spot, 9 more needed",
                AdmissionProspect::Open,
            ),
            (
                json!({"conditions": [condition("QuotaReserved", "False", "Inadmissible", "LocalQueue team-a doesn't exist")]}),
                "Kueue cannot admit it: LocalQueue team-a doesn't exist",
                AdmissionProspect::Hopeless,
            ),
            (
                json!({"conditions": [no_quota, condition("Evicted", "True", "Preempted", "Preempted to accommodate a Workload")]}),
                "Kueue has evicted it (Preempted: Preempted to accommodate a Workload); couldn't assign flavors to pod \
                 set main: insufficient unused quota for cpu in flavor spot, 9 more needed",
                AdmissionProspect::Open,
            ),
            (
                json!({"conditions": [no_quota, condition("Evicted", "False", "QuotaReserved", "Previously: Preempted")]}),
                "couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor spot, 9 more needed",
                AdmissionProspect::Open,
            ),
            (
                json!({"conditions": [reserved], "admissionChecks": [{"name": "dws", "state": "Pending", "message": ""},
                                                                     {"name": "budget", "state": "Ready"}]}),
                "its quota is reserved, and not every admission check has passed: `dws` is Pending",
                AdmissionProspect::Open,
            ),
            (
                json!({"conditions": [reserved]}),
                "its quota is reserved, and Kueue has not started it yet",
                AdmissionProspect::Open,
            ),
        ];
        for (status, expected, prospect) in cases {
            assert_eq!(reason(&status), (expected.to_owned(), prospect));
        }
    }

    #[test]
    fn position_is_that_of_the_jobs_own_workload_of_those_that_were_read() {
        let item = |uid: &str, position: usize| {
            json!({"metadata": {"name": "w", "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": uid}]},
                   "priority": 0, "localQueueName": "team-a", "positionInClusterQueue": 7, "positionInLocalQueue": position})
        };
        let three = json!({"items": [item("a", 0), item("b", 1), item("c", 2)]});
        let read = |value: &Value| serde_json::from_value::<PendingWorkloads>(value.clone()).unwrap();
        let cases = [
            (&three, "c", 500, Some("at place 3 of 3")),
            (&three, "a", 3, Some("at place 1 of more than 3")),
            (&three, "d", 3, Some("behind 3 others or more")),
            // It was admitted in between, or this Kueue does not say whose Workloads they are.
            (&three, "d", 500, None),
            (&json!({"items": [{"metadata": {}, "positionInLocalQueue": 0}]}), "a", 500, None),
            (&json!({}), "a", 500, None),
            // A queue that moves while it is read is never shorter than the place in it.
            (&json!({"items": [item("a", 4)]}), "a", 500, Some("at place 5 of 5")),
        ];
        for (pending, job, most, expected) in cases {
            let position = read(pending).position(job, most).map(|position| position.to_string());
            assert_eq!(position.as_deref(), expected);
        }
    }

    #[test]
    fn only_a_workload_that_waits_for_quota_has_a_position() {
        let cases = [
            (json!([]), true),
            (json!([condition("QuotaReserved", "False", "Pending", "no quota")]), true),
            (json!([condition("QuotaReserved", "True", "QuotaReserved", "")]), false),
            (json!([condition("QuotaReserved", "False", "Inadmissible", "LocalQueue team-a doesn't exist")]), false),
        ];
        for (conditions, expected) in cases {
            let workload: Workload = serde_json::from_value(json!({"status": {"conditions": conditions}})).unwrap();
            assert_eq!(workload.waits_for_quota(), expected, "{workload:?}");
        }
    }

    #[test]
    fn workload_that_somebody_deactivated_is_never_admitted() {
        let workload: Workload = serde_json::from_value(json!({"spec": {"active": false}})).unwrap();
        assert_eq!(workload.reason().1, AdmissionProspect::Hopeless);
    }
}
