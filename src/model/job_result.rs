//! Reads what a succeeded Job has left as its result: the termination messages of its base containers, or the texts that
//! its sidecars have printed. Pure.
//!
//! Promise: a text is handed over as it was written and whole, or the report says why not. A message may be cut where
//! what is left of it is valid JSON, so only its length tells: a message that reaches the limit counts as cut, always.
//! Whether a text is JSON is for its reader to say.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;

use super::{
    conditions::{self, in_ranges},
    job::JobSpec,
    pod::{all_containers, main_containers, phase},
    snapshot::JobSnapshot,
};
use crate::error::Report;

/// The file in the base container that holds its result; that of the `cncf.kubernetes` provider.
pub const RESULT_FILE: &str = "/airflow/xcom/return.json";
/// The sidecar that prints that file; the name is that of the `cncf.kubernetes` provider, too.
pub const RESULT_SIDECAR: &str = "airflow-xcom-sidecar";
/// The kubelet hands over at most so many bytes of one container. Source: k/k `pkg/kubelet/container/runtime.go`,
/// `MaxContainerTerminationMessageLength`.
const OF_A_CONTAINER: usize = 4096;
/// The kubelet hands over at most so many bytes of a Pod, and each of its containers has an equal part. Source: the same
/// file, `MaxPodTerminationMessageLogLength`, and `normalizeStatus` of `pkg/kubelet/status/status_manager.go`.
const OF_A_POD: usize = 12 * 1024;
/// The messages of all Pods together have at most so many bytes: they travel in one event from the triggerer to the
/// worker, and are no larger without one.
const MESSAGES_OF_A_JOB: usize = 16 * 1024;
/// The same of the texts of sidecars.
pub const PRINTED_BY_A_JOB: usize = 256 * 1024;
/// What can be done with data that is too large in any case.
pub(crate) const WRITE_AN_ADDRESS: &str =
    "write the data to a store, such as S3 or a database, and only its address to the file";

/// What the base containers of a Job have written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JobResult {
    /// Of a Job with one completion; none if its container wrote nothing.
    Text(Option<String>),
    /// Of a Job with several completions, in the order in which its Pods were made.
    Texts(Vec<Option<String>>),
    /// Of an Indexed Job.
    TextByIndex(BTreeMap<u32, Option<String>>),
    /// It cannot be used, and this is why.
    Unusable(Report),
}

/// What one Pod has left: none if it wrote nothing, or why its text cannot be used.
pub type PodResult = Result<Option<String>, Report>;

/// Reads the result of a Job that has succeeded from the termination messages of its Pods.
#[must_use]
pub fn result_in_messages(snapshot: &JobSnapshot) -> JobResult {
    let base = snapshot.base_container().unwrap_or_default();
    read(snapshot, MESSAGES_OF_A_JOB, |pod| message_of(snapshot, pod, base)).unwrap_or_else(JobResult::Unusable)
}

/// Reads the result of a Job that has succeeded from what the sidecars of its Pods have printed, by the uid of the Pod.
#[must_use]
pub fn printed_result(snapshot: &JobSnapshot, printed: &BTreeMap<String, Option<String>>) -> JobResult {
    let printed = |pod: &Pod| {
        let found = pod.metadata.uid.as_ref().and_then(|uid| printed.get(uid));
        found.cloned().ok_or_else(|| lost(snapshot))
    };
    read(snapshot, PRINTED_BY_A_JOB, printed).unwrap_or_else(JobResult::Unusable)
}

/// The Pods that have a result.
pub fn pods_with_result(snapshot: &JobSnapshot) -> impl Iterator<Item = &Pod> {
    let base = snapshot.base_container().unwrap_or_default();
    // A Job that is over for us although a sidecar still runs has a Pod that has not ended.
    let finished = conditions::finished(&snapshot.job.job).is_some();
    snapshot.pods().into_iter().filter(move |pod| match phase(pod) {
        "Succeeded" => true,
        "Running" => !finished && ended_well(pod, base),
        _ => false,
    })
}

fn read(snapshot: &JobSnapshot, limit: usize, text_of: impl Fn(&Pod) -> PodResult) -> Result<JobResult, Report> {
    let job = &snapshot.job.job;
    let (spec, status) = (job.spec.as_ref(), job.status.as_ref());
    if spec.is_some_and(|spec| spec.completion_mode.as_deref() == Some("Indexed")) {
        let completed = status.and_then(|status| status.completed_indexes.as_deref()).unwrap_or_default();
        let mut texts = BTreeMap::new();
        for pod in pods_with_result(snapshot) {
            if let Some(index) = conditions::index(pod).and_then(|index| index.parse().ok()) {
                texts.insert(index, text_of(pod)?);
            }
        }
        complete(snapshot, texts.len(), in_ranges(completed))?;
        fit(snapshot, limit, texts.values())?;
        return Ok(JobResult::TextByIndex(texts));
    }
    let wanted = status.and_then(|status| status.succeeded).and_then(|count| usize::try_from(count).ok());
    let mut texts = Vec::new();
    for pod in pods_with_result(snapshot) {
        texts.push(text_of(pod)?);
    }
    complete(snapshot, texts.len(), wanted.unwrap_or(1).max(1))?;
    fit(snapshot, limit, texts.iter())?;
    if spec.is_some_and(has_several_completions) {
        return Ok(JobResult::Texts(texts));
    }
    Ok(JobResult::Text(texts.swap_remove(0)))
}

/// Whether more than one Pod has to succeed, or may.
fn has_several_completions(spec: &JobSpec) -> bool {
    match spec.completions {
        Some(completions) => completions > 1,
        None => spec.parallelism.is_some_and(|pods| pods > 1),
    }
}

fn ended_well(pod: &Pod, base: &str) -> bool {
    let end = main_containers(pod).find(|container| container.name == base);
    let end = end.and_then(|container| container.state.as_ref()?.terminated.as_ref());
    end.is_some_and(|end| end.exit_code == 0)
}

/// The termination message of the base container of a Pod.
fn message_of(snapshot: &JobSnapshot, pod: &Pod, base: &str) -> PodResult {
    let container = main_containers(pod).find(|container| container.name == base);
    let message = container.and_then(|container| container.state.as_ref()?.terminated.as_ref()?.message.as_deref());
    let Some(text) = message.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
    let containers = container_count(pod);
    let limit = limit(containers);
    if text.len() < limit {
        return Ok(Some(text.to_owned()));
    }
    let job = &snapshot.job.reference;
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let report = Report::new(format!("The result of {job} is too large: it has to be smaller than {limit} bytes"))
        .seen(format!("{} bytes of {RESULT_FILE} arrived from container `{base}` of Pod `{name}`", text.len()))
        .seen(format!(
            "Kubernetes hands over at most {OF_A_CONTAINER} bytes of a container, and at most {OF_A_POD} bytes of a Pod, \
             divided by the number of its containers, here {containers}"
        ))
        .hint(format!("use xcom=\"sidecar\", which takes 256 KiB, or {WRITE_AN_ADDRESS}"));
    Err(report)
}

/// How many bytes of one container's message the kubelet hands over, by the number of containers in the Pod.
fn limit(containers: usize) -> usize {
    OF_A_CONTAINER.min(OF_A_POD / containers.max(1))
}

/// The number of containers of a Pod as it ran: also those that an admission webhook or `kubectl debug` has added.
fn container_count(pod: &Pod) -> usize {
    let status = pod.status.as_ref();
    let ephemeral = status.and_then(|status| status.ephemeral_container_statuses.as_ref()).map_or(0, Vec::len);
    all_containers(pod).count() + ephemeral
}

/// Refuses a result of which a part is missing.
fn complete(snapshot: &JobSnapshot, found: usize, wanted: usize) -> Result<(), Report> {
    if found >= wanted {
        return Ok(());
    }
    Err(lost(snapshot).seen(format!("the Job counts {wanted} succeeded Pods, and {found} of them were read")))
}

fn lost(snapshot: &JobSnapshot) -> Report {
    Report::new(format!("The result of {} is lost: its Pod cannot be read any more", snapshot.job.reference)).hint(
        "somebody deleted the Pod, or this identity may not list Pods: `unique-k8s-job doctor --rbac` shows the \
         missing rights; a retry runs the Job anew",
    )
}

/// Refuses results that are too large together.
fn fit<'a>(
    snapshot: &JobSnapshot,
    limit: usize,
    texts: impl Iterator<Item = &'a Option<String>> + Clone,
) -> Result<(), Report> {
    let bytes: usize = texts.clone().flatten().map(String::len).sum();
    if bytes <= limit {
        return Ok(());
    }
    let report = Report::new(format!(
        "The results of {} are too large: together they may have at most {limit} bytes",
        snapshot.job.reference
    ))
    .seen(format!("{} Pods wrote {bytes} bytes to {RESULT_FILE}", texts.flatten().count()))
    .hint(WRITE_AN_ADDRESS);
    Err(report)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::model::observed_job::ObservedJob;

    /// A Job that has succeeded, with these fields of its spec and its status.
    fn succeeded(spec: &Value, status: &Value) -> JobSnapshot {
        let mut job = json!({"metadata": {"namespace": "etl", "name": "train", "uid": "u"},
            "spec": {"template": {"spec": {"containers": [{"name": "side"}, {"name": "base"}]}}},
            "status": {"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]}});
        json_patch::merge(&mut job["spec"], spec);
        json_patch::merge(&mut job["status"], status);
        JobSnapshot::new(ObservedJob::read(&job).unwrap())
    }

    /// A Pod whose base container ended with this message, with so many other containers.
    fn pod(number: usize, message: &str, others: usize, change: &Value) -> Value {
        let ended = |name: String, message: &str| {
            json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": 0, "reason": "Completed", "message": message}}})
        };
        let mut containers: Vec<_> = (0..others).map(|side| ended(format!("side{side}"), "\"of a side\"")).collect();
        containers.push(ended("base".to_owned(), message));
        let mut pod = json!({"metadata": {"name": format!("p{number}"), "uid": format!("p{number}"),
            "creationTimestamp": format!("2026-01-01T00:00:{:02}Z", number % 60)}, "spec": {"containers": []},
            "status": {"phase": "Succeeded", "containerStatuses": containers}});
        json_patch::merge(&mut pod, change);
        pod
    }

    fn of_index(index: u32) -> Value {
        json!({"metadata": {"labels": {"batch.kubernetes.io/job-completion-index": index.to_string()}}})
    }

    fn with(mut snapshot: JobSnapshot, pods: impl IntoIterator<Item = Value>) -> JobResult {
        for pod in pods {
            snapshot.apply_pod_object(pod, false);
        }
        result_in_messages(&snapshot)
    }

    fn one(message: &str, others: usize, change: &Value) -> JobResult {
        with(succeeded(&json!({}), &json!({})), [pod(0, message, others, change)])
    }

    fn why(result: &JobResult) -> String {
        let JobResult::Unusable(report) = result else { panic!("{result:?}") };
        report.to_string()
    }

    #[test]
    fn result_is_what_the_base_container_of_the_pod_that_succeeded_wrote() {
        let none = json!({});
        assert_eq!(one("{\"rows\": 3}", 1, &none), JobResult::Text(Some("{\"rows\": 3}".to_owned())));
        assert_eq!(one("", 1, &none), JobResult::Text(None));
        assert_eq!(one(" \n", 0, &none), JobResult::Text(None));
        let failed = pod(0, "\"of the failure\"", 0, &json!({"status": {"phase": "Failed"}}));
        let result = with(succeeded(&none, &none), [failed, pod(1, "\"good\"", 0, &none)]);
        assert_eq!(result, JobResult::Text(Some("\"good\"".to_owned())));
    }

    #[test]
    fn message_that_reaches_the_limit_counts_as_cut_also_if_what_is_left_is_json() {
        let (none, digits) = (json!({}), |count: usize| "7".repeat(count));
        // Containers, the first length that counts as cut.
        for (containers, limit) in [(1, 4096), (3, 4096), (4, 3072), (5, 2457), (12, 1024)] {
            let whole = one(&digits(limit - 1), containers - 1, &none);
            assert_eq!(whole, JobResult::Text(Some(digits(limit - 1))), "{containers} containers");
            let cut = why(&one(&digits(limit), containers - 1, &none));
            assert!(cut.contains(&format!("has to be smaller than {limit} bytes")), "{cut}");
            assert!(cut.contains(&format!("the number of its containers, here {containers}")), "{cut}");
            assert!(cut.contains("xcom=\"sidecar\"") && cut.contains("write the data to a store"), "{cut}");
        }
    }

    #[test]
    fn every_container_of_the_pod_as_it_ran_takes_its_part_of_the_limit() {
        let init = json!({"name": "i", "image": "", "imageID": "", "ready": false, "restartCount": 0});
        let more = json!({"status": {"initContainerStatuses": [init, init], "ephemeralContainerStatuses": [init]}});
        // Two containers, two init containers and one that `kubectl debug` has added.
        let cut = why(&one(&"7".repeat(2457), 1, &more));
        assert!(cut.contains("the number of its containers, here 5"), "{cut}");
    }

    #[test]
    fn results_of_an_indexed_job_have_their_indexes_and_those_of_others_their_order() {
        let indexed = json!({"completionMode": "Indexed", "completions": 2, "parallelism": 2});
        let counted = json!({"succeeded": 2, "completedIndexes": "0,1"});
        let pods = [pod(0, "\"b\"", 0, &of_index(1)), pod(1, "", 0, &of_index(0))];
        let texts = BTreeMap::from([(0, None), (1, Some("\"b\"".to_owned()))]);
        assert_eq!(with(succeeded(&indexed, &counted), pods.clone()), JobResult::TextByIndex(texts));
        let several = json!({"completions": 2});
        let texts = vec![Some("\"b\"".to_owned()), None];
        assert_eq!(with(succeeded(&several, &counted), pods), JobResult::Texts(texts));
        let only = json!({"completionMode": "Indexed", "completions": 1});
        let counted = json!({"completedIndexes": "0"});
        let texts = BTreeMap::from([(0, Some("1".to_owned()))]);
        assert_eq!(with(succeeded(&only, &counted), [pod(0, "1", 0, &of_index(0))]), JobResult::TextByIndex(texts));
    }

    #[test]
    fn index_that_a_success_policy_did_not_need_has_no_result() {
        let indexed = json!({"completionMode": "Indexed", "completions": 3, "successPolicy": {"rules": []}});
        let counted = json!({"completedIndexes": "2"});
        let failed = json!({"status": {"phase": "Failed"}});
        let mut of_one = of_index(0);
        json_patch::merge(&mut of_one, &failed);
        let pods = [pod(0, "\"bad\"", 0, &of_one), pod(1, "\"c\"", 0, &of_index(2))];
        let texts = BTreeMap::from([(2, Some("\"c\"".to_owned()))]);
        assert_eq!(with(succeeded(&indexed, &counted), pods), JobResult::TextByIndex(texts));
    }

    #[test]
    fn result_of_which_a_pod_is_missing_is_lost_and_never_empty() {
        let indexed = json!({"completionMode": "Indexed", "completions": 2});
        let counted = json!({"succeeded": 2, "completedIndexes": "0-1"});
        let cases = [
            with(succeeded(&json!({}), &json!({})), []),
            with(succeeded(&json!({"completions": 2}), &counted), [pod(0, "1", 0, &json!({}))]),
            with(succeeded(&indexed, &counted), [pod(0, "1", 0, &of_index(0))]),
        ];
        for result in cases {
            assert!(why(&result).starts_with("The result of Job `etl/train` is lost"), "{result:?}");
        }
    }

    #[test]
    fn results_of_many_pods_together_have_a_limit() {
        let text = "7".repeat(4000);
        let indexed = json!({"completionMode": "Indexed", "completions": 5});
        let counted = |last: u32| json!({"completedIndexes": format!("0-{last}")});
        let pods = |count: u32| (0..count).map(|index| pod(index as usize, &text, 0, &of_index(index)));
        assert!(matches!(with(succeeded(&indexed, &counted(3)), pods(4)), JobResult::TextByIndex(_)));
        let refused = why(&with(succeeded(&indexed, &counted(4)), pods(5)));
        assert!(refused.contains("5 Pods wrote 20000 bytes") && refused.contains("at most 16384 bytes"), "{refused}");
    }

    #[test]
    fn base_container_that_ended_well_beside_a_sidecar_that_goes_on_has_a_result() {
        let unfinished = succeeded(&json!({}), &json!({"conditions": null, "succeeded": null}));
        let running = pod(0, "\"here\"", 1, &json!({"status": {"phase": "Running"}}));
        assert_eq!(with(unfinished, [running]), JobResult::Text(Some("\"here\"".to_owned())));
    }

    proptest! {
        #[test]
        fn text_is_handed_over_whole_or_not_at_all(text in "\\PC{0,2500}", others in 0_usize..12) {
            let limit = limit(others + 1);
            // What a kubelet does: it keeps the end of a file that is too long, then cuts that to the Pod's part.
            let tail = &text.as_bytes()[text.len().saturating_sub(OF_A_CONTAINER)..];
            let sent = String::from_utf8_lossy(&tail[..tail.len().min(limit)]).into_owned();
            match one(&sent, others, &json!({})) {
                JobResult::Text(None) => prop_assert!(text.trim().is_empty()),
                JobResult::Text(Some(arrived)) => prop_assert_eq!(arrived, text),
                other => prop_assert!(text.len() >= limit, "{:?}", other),
            }
        }
    }
}
