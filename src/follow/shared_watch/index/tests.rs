use serde_json::json;

use super::*;
use crate::model::pod::lean_pod;

const TASK: &str = "unique-k8s-job/task";

fn job(uid: &str, version: u64) -> Arc<ObservedJob> {
    let metadata =
        json!({"unique-k8s-job/try-number": "1", "unique-k8s-job/attempt": "a", "unique-k8s-job/owner": "t/1/i"});
    let object = json!({"metadata": {"namespace": "etl", "name": uid, "uid": uid, "resourceVersion": version.to_string(),
        "labels": {TASK: "t"}, "annotations": metadata}, "spec": {"template": {}}});
    Arc::new(ObservedJob::read(&object).unwrap())
}

fn pod(uid: &str, of: &str, phase: &str) -> Arc<Pod> {
    let object =
        json!({"metadata": {"name": uid, "uid": uid, "labels": {CONTROLLER_UID: of}}, "status": {"phase": phase}});
    lean_pod(object).unwrap()
}

/// One who waits for a Job.
struct Reader {
    uid: &'static str,
    seen: Version,
    notify: Arc<Notify>,
}

fn reader(index: &mut Index, uid: &'static str) -> Reader {
    let notify = Arc::new(Notify::new());
    index.subscribe(uid, None, &notify);
    Reader { uid, seen: 0, notify }
}

impl Reader {
    /// What is new, in short.
    fn news(&mut self, index: &Index) -> Vec<String> {
        let mut news = VecDeque::new();
        self.seen = index.events_since(self.uid, self.seen, &mut news);
        let short = |news: &FeedEvent| match news {
            FeedEvent::Job(job) => format!("job {}", job.resource_version),
            FeedEvent::Missing => "missing".to_owned(),
            FeedEvent::Unclear(_) => "unclear".to_owned(),
            FeedEvent::Other(job) => format!("other {}", job.reference.uid),
            FeedEvent::Pod(pod, gone) => {
                let phase = pod.status.as_ref().and_then(|status| status.phase.clone()).unwrap_or_default();
                format!("pod {phase}{}", if *gone { " gone" } else { "" })
            }
            FeedEvent::Contact(resource) => format!("{} work", resource.rbac()),
            FeedEvent::Interrupted(resource, _) => format!("{} interrupted", resource.rbac()),
            FeedEvent::Refused(resource, _) => format!("{} refused", resource.rbac()),
            FeedEvent::Pods(_) | FeedEvent::PodsWatched => unreachable!("the index tells of one Pod at a time"),
        };
        news.iter().map(short).collect()
    }

    fn was_told(&self) -> bool {
        futures::FutureExt::now_or_never(self.notify.notified()).is_some()
    }
}

#[test]
fn job_that_is_known_is_told_at_once_and_each_state_once() {
    let mut index = Index::new(Keep::All);
    index.relist_jobs(vec![job("u", 1)]);
    let mut reader = reader(&mut index, "u");
    assert_eq!(reader.news(&index), ["job 1"]);
    assert!(reader.news(&index).is_empty());
    index.apply_job(job("u", 2));
    index.apply_job(job("u", 3));
    assert!(reader.was_told());
    assert_eq!(reader.news(&index), ["job 3"], "the newest state takes the place of the one before");
}

#[test]
fn nothing_is_missing_before_the_first_list() {
    let mut index = Index::new(Keep::All);
    let mut early = reader(&mut index, "u");
    assert!(early.news(&index).is_empty());
    index.relist_jobs(Vec::new());
    assert!(early.was_told());
    assert_eq!(early.news(&index), ["missing"]);
    assert_eq!(reader(&mut index, "u").news(&index), ["missing"], "also for who comes after it");
    index.apply_job(job("u", 1));
    assert_eq!(early.news(&index), ["job 1"], "a GET has found it");
}

#[test]
fn answer_of_a_get_never_takes_the_place_of_what_the_watch_told_since() {
    for deleted in [false, true] {
        let mut index = Index::new(Keep::All);
        index.relist_jobs(Vec::new());
        let mut reader = reader(&mut index, "u");
        assert_eq!(reader.news(&index), ["missing"]);
        let asked = reader.seen;
        if deleted {
            index.apply_job(job("u", 2));
            index.remove_job(job("u", 2));
        } else {
            index.apply_job(job("u", 2));
        }
        index.found(job("u", 1), asked);
        assert_eq!(reader.news(&index), if deleted { vec!["job 2", "missing"] } else { vec!["job 2"] });
        index.found(job("u", 3), reader.seen);
        assert_eq!(reader.news(&index), ["job 3"], "nothing newer was notified since");
    }
}

#[test]
fn job_that_leaves_is_told_with_its_last_state() {
    let mut index = Index::new(Keep::All);
    index.relist_jobs(vec![job("u", 1)]);
    let mut reader = reader(&mut index, "u");
    reader.news(&index);
    index.remove_job(job("u", 2));
    assert_eq!(reader.news(&index), ["job 2", "missing"]);
}

#[test]
fn job_missing_from_a_later_list_is_told_as_missing_and_others_are_not_told() {
    let mut index = Index::new(Keep::All);
    index.relist_jobs(vec![job("u", 1), job("v", 1)]);
    let (mut missing, mut present) = (reader(&mut index, "u"), reader(&mut index, "v"));
    missing.news(&index);
    present.news(&index);
    index.relist_jobs(vec![job("v", 1)]);
    assert_eq!(missing.news(&index), ["missing"]);
    assert!(present.news(&index).is_empty() && !present.was_told());
}

#[test]
fn pods_are_told_before_the_job_they_belong_to_and_the_last_state_outlives_them() {
    let mut index = Index::new(Keep::All);
    index.apply_pod(pod("p", "u", "Running"), false);
    index.relist_jobs(vec![job("u", 1)]);
    let mut reader = reader(&mut index, "u");
    assert_eq!(reader.news(&index), ["pod Running", "job 1"]);
    index.apply_pod(pod("p", "u", "Failed"), true);
    assert_eq!(reader.news(&index), ["pod Failed gone"]);
    index.relist_pods(Vec::new());
    assert!(reader.news(&index).is_empty());
}

#[test]
fn pod_missing_from_a_list_is_gone() {
    let mut index = Index::new(Keep::All);
    index.relist_jobs(vec![job("u", 1)]);
    index.apply_pod(pod("p", "u", "Running"), false);
    let mut reader = reader(&mut index, "u");
    reader.news(&index);
    index.relist_pods(Vec::new());
    assert_eq!(reader.news(&index), ["pod Running gone"]);
}

#[test]
fn two_who_wait_for_one_job_both_hear_and_the_end_of_one_does_not_touch_the_other() {
    let mut index = Index::new(Keep::All);
    let (first, mut second) = (reader(&mut index, "u"), reader(&mut index, "u"));
    index.unsubscribe("u", None, &first.notify);
    index.apply_job(job("u", 1));
    assert!(!first.was_told() && second.was_told());
    assert_eq!(second.news(&index), ["job 1"]);
}

#[test]
fn late_job_of_the_same_task_is_told_to_those_who_wait_for_another() {
    let mut index = Index::new(Keep::All);
    index.relist_jobs(vec![job("u", 1)]);
    let task = job("u", 1).attempt_metadata.as_ref().unwrap().task_digest.clone();
    let notify = Arc::new(Notify::new());
    index.subscribe("u", Some(&task), &notify);
    let mut reader = Reader { uid: "u", seen: 0, notify };
    reader.news(&index);
    index.apply_job(job("late", 2));
    assert_eq!(reader.news(&index), ["other late"]);
    index.unsubscribe("u", Some(&task), &reader.notify);
    assert!(index.waited.is_empty());
}

#[test]
fn late_job_that_is_known_before_anybody_waits_is_told_to_who_asks_for_it() {
    let mut index = Index::new(Keep::All);
    index.relist_jobs(vec![job("u", 1), job("late", 1)]);
    let task = job("u", 1).attempt_metadata.as_ref().unwrap().task_digest.clone();
    let notify = Arc::new(Notify::new());
    index.subscribe("u", Some(&task), &notify);
    index.recall_siblings("u", &task);
    let mut reader = Reader { uid: "u", seen: 0, notify };
    assert_eq!(reader.news(&index), ["other late", "job 1"]);
}

#[test]
fn what_nobody_waits_for_is_forgotten_when_it_goes() {
    let mut index = Index::new(Keep::All);
    index.relist_jobs(vec![job("u", 1)]);
    index.apply_pod(pod("p", "u", "Running"), false);
    index.apply_pod(pod("p", "u", "Running"), true);
    assert!(index.entries["u"].pods.is_empty());
    index.remove_job(job("u", 2));
    assert!(index.entries.is_empty());
    let waiting = reader(&mut index, "v");
    index.unsubscribe("v", None, &waiting.notify);
    assert!(index.entries.is_empty());
    index.apply_pod(pod("old", "acknowledged", "Succeeded"), false);
    assert!(index.entries.is_empty(), "ended Pods of acknowledged Jobs stay for a day");
}

#[test]
fn index_without_a_selector_remembers_only_what_is_waited_for() {
    let mut index = Index::new(Keep::Waited);
    let mut waiting = reader(&mut index, "u");
    index.relist_jobs(vec![job("u", 1), job("v", 1)]);
    index.apply_pod(pod("p", "v", "Running"), false);
    assert_eq!(waiting.news(&index), ["job 1"]);
    assert_eq!(index.entries.len(), 1);
    index.unsubscribe("u", None, &waiting.notify);
    assert!(index.entries.is_empty());
}

#[test]
fn pods_that_a_list_has_found_never_take_the_place_of_what_the_watch_told() {
    let mut index = Index::new(Keep::Waited);
    index.relist_pods(vec![pod("p", "u", "Running"), pod("q", "u", "Running")]);
    let mut waiting = reader(&mut index, "u");
    assert!(waiting.news(&index).is_empty(), "nobody waited");
    let asked = waiting.seen;
    index.apply_pod(pod("q", "u", "Failed"), true);
    index.found_pods("u", vec![pod("p", "u", "Running"), pod("q", "u", "Running")], asked);
    assert_eq!(waiting.news(&index), ["pod Running", "pod Failed gone"]);
    index.relist_pods(Vec::new());
    index.found_pods("u", vec![pod("r", "u", "Running")], asked);
    assert_eq!(waiting.news(&index), ["pod Running gone"], "a later list knows better");
}

#[test]
fn trouble_of_a_watch_is_told_to_all_and_once() {
    let mut index = Index::new(Keep::All);
    index.relist_jobs(vec![job("u", 1)]);
    let mut reader = reader(&mut index, "u");
    reader.news(&index);
    let failure = || Failure::status(403, "Forbidden", "no", None);
    index.works(Resource::Jobs);
    assert!(reader.news(&index).is_empty());
    index.interrupted(Resource::Jobs, failure());
    assert_eq!(reader.news(&index), ["jobs.batch interrupted"]);
    index.refused(Resource::Pods, failure());
    index.refused(Resource::Pods, failure());
    index.interrupted(Resource::Pods, failure());
    assert_eq!(reader.news(&index), ["pods refused"]);
    index.works(Resource::Jobs);
    assert_eq!(reader.news(&index), ["jobs.batch work"]);
}

/// A Job of a task of this Airflow.
fn job_of(uid: &str, deployment: &str, change: fn(&mut serde_json::Value)) -> Arc<ObservedJob> {
    let mark = |name: &str| format!("unique-k8s-job/{name}");
    let annotations = json!({mark("try-number"): "1", mark("attempt"): "a", mark("owner"): "t/1/i", mark("task-id"): "train",
        mark("deployment"): deployment, mark("dag-id"): "etl", mark("run-id"): "r", mark("map-index"): "-1"});
    let mut object = json!({"metadata": {"namespace": "etl", "name": uid, "uid": uid, "resourceVersion": "1",
        "labels": {TASK: "t"}, "annotations": annotations}, "spec": {"template": {}}});
    change(&mut object);
    Arc::new(ObservedJob::read(&object).unwrap())
}

#[test]
fn unattended_are_jobs_at_work_of_an_airflow_that_waits_here_and_nobody_waits_for_them() {
    let mut index = Index::new(Keep::All);
    let unattended = |index: &Index| {
        let mut uids: Vec<_> = index.unattended().iter().map(|job| job.reference.uid.clone()).collect();
        uids.sort();
        uids
    };
    let untouched: fn(&mut serde_json::Value) = |_| {};
    index.apply_job(job_of("followed", "prod", untouched));
    index.apply_job(job_of("left", "prod", untouched));
    index.apply_job(job_of("of-another-airflow", "staging", untouched));
    index.apply_job(job("of-an-unknown-task", 1));
    index.apply_job(job_of("ended", "prod", |job| {
        job["status"] = json!({"conditions": [{"type": "Complete", "status": "True"}]});
    }));
    index.apply_job(job_of("decided", "prod", |job| {
        job["status"] = json!({"conditions": [{"type": "FailureTarget", "status": "True"}]});
    }));
    index.apply_job(job_of("going", "prod", |job| {
        job["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }));
    index.apply_job(job_of("acknowledged", "prod", |job| {
        job["metadata"]["labels"]["unique-k8s-job/acknowledged"] = json!("true");
    }));
    assert_eq!(unattended(&index), [""; 0], "nobody has waited for a Job of theirs yet");
    let reader = reader(&mut index, "followed");
    assert_eq!(unattended(&index), ["left"]);
    index.unsubscribe("followed", None, &reader.notify);
    assert_eq!(unattended(&index), ["followed", "left"], "an Airflow that was here is remembered");
    index.remove_job(job_of("left", "prod", untouched));
    assert_eq!(unattended(&index), ["followed"]);
}

#[test]
fn airflow_is_remembered_that_waited_only_between_two_looks() {
    for known_before in [true, false] {
        let mut index = Index::new(Keep::All);
        let untouched: fn(&mut serde_json::Value) = |_| {};
        index.apply_job(job_of("left", "prod", untouched));
        if known_before {
            index.apply_job(job_of("short", "prod", untouched));
        }
        let reader = reader(&mut index, "short");
        if !known_before {
            index.apply_job(job_of("short", "prod", untouched));
        }
        index.unsubscribe("short", None, &reader.notify);
        index.remove_job(job_of("short", "prod", untouched));
        let uids: Vec<_> = index.unattended().iter().map(|job| job.reference.uid.clone()).collect();
        assert_eq!(uids, ["left"], "known before: {known_before}");
    }
}
