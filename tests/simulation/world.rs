//! The world of one test: the API server's state, and who else acts in it: Job controller, kubelet, other people.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use kube::Client;
use serde_json::{Value, json};
use tokio::{sync::watch, time::Instant};
use unique_k8s_job::{
    cluster::{Cluster, Timing},
    error::Error,
    model::{job_result::RESULT_SIDECAR, outcome::Outcome},
    session::{Event, Session},
    submit::{JobOrigin, request::JobRequest},
};

use crate::{
    faults::{Fault, Rule, Script},
    logs::LogFile,
    server::serve,
    store::{Key, Store},
};

pub const NAMESPACE: &str = "etl";
/// In no test of few Jobs does anybody ask as often for the same kind of thing in a minute.
const A_MINUTE_OF_ALL: usize = 200;

/// Everything that is stored.
pub struct Inner {
    pub store: Store,
    /// By namespace, Pod and container.
    pub logs: HashMap<(String, String, String), LogFile>,
    /// Name, and whether it is being deleted.
    pub namespaces: HashMap<String, bool>,
    /// How many Jobs a namespace may hold.
    pub quota: usize,
    /// Whether Pods go with their Job.
    pub collects_garbage: bool,
    requests: Vec<(&'static str, String, Instant)>,
    rules: Vec<Rule>,
    scripts: HashMap<&'static str, Script>,
    /// How many requests of a kind may come in a minute, where the test itself asks whether more came.
    limit: Option<usize>,
    /// The first kind of which more came.
    too_often: Option<&'static str>,
    cuts: u64,
}

pub struct World {
    inner: Mutex<Inner>,
    changes: watch::Sender<u64>,
    begin: Instant,
}

/// How the Job controller and the kubelet let each new Job run.
#[derive(Debug, Clone, Copy)]
pub struct Course {
    /// From the Job to its Pod.
    pub pod_after: Duration,
    /// From the Pod to its end.
    pub runs: Duration,
    /// Lines printed meanwhile, evenly.
    pub lines: u32,
    pub exit_code: i32,
    /// The termination message of its container.
    pub message: &'static str,
}

impl Default for Course {
    fn default() -> Self {
        Self {
            pod_after: Duration::from_millis(200),
            runs: Duration::from_secs(3),
            lines: 3,
            exit_code: 0,
            message: "",
        }
    }
}

impl World {
    /// The time of the simulated server, as HTTP writes it.
    pub fn date(&self) -> String {
        self.inner().store.now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    pub fn new() -> Arc<Self> {
        let inner = Inner {
            store: Store::new(),
            logs: HashMap::new(),
            namespaces: HashMap::from([(NAMESPACE.to_owned(), false)]),
            quota: usize::MAX,
            collects_garbage: true,
            requests: Vec::new(),
            rules: Vec::new(),
            scripts: HashMap::new(),
            limit: None,
            too_often: None,
            cuts: 0,
        };
        Arc::new(Self { inner: Mutex::new(inner), changes: watch::channel(0).0, begin: Instant::now() })
    }

    /// A handle of the core over this world's API server.
    pub fn cluster(self: &Arc<Self>) -> Cluster {
        let world = Arc::clone(self);
        let service = tower::service_fn(move |request| serve(Arc::clone(&world), request));
        Cluster::from_client(Client::new(service, NAMESPACE), Timing::default(), 7)
    }

    pub fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no test panics while it holds the world")
    }

    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    // --- faults and what was asked ---

    /// The next `times` requests of a kind meet a fault.
    pub fn fault(&self, kind: &'static str, fault: Fault, times: usize) {
        self.inner().rules.push(Rule { kind, fault, times });
    }

    /// From now on the requests of a kind meet these faults one after the other, again and again.
    pub fn script(&self, kind: &'static str, faults: Vec<Option<Fault>>) {
        self.inner().scripts.insert(kind, Script { faults, next: 0 });
    }

    /// From now on more requests of one kind in a minute are too many.
    pub fn limit_a_minute(&self, limit: usize) {
        self.inner().limit = Some(limit);
    }

    /// The kind of request of which too many came.
    pub fn too_often(&self) -> Option<&'static str> {
        self.inner().too_often
    }

    pub fn asked_too_often(&self) -> bool {
        self.too_often().is_some()
    }

    pub fn fault_for(&self, kind: &'static str, body: &str) -> Option<Fault> {
        let mut inner = self.inner();
        let now = Instant::now();
        inner.requests.push((kind, body.to_owned(), now));
        let recent = inner.requests.iter().rev().take_while(|(_, _, at)| now - *at < Duration::from_secs(60));
        let recent = recent.filter(|(asked, ..)| *asked == kind).count();
        if recent > inner.limit.unwrap_or(A_MINUTE_OF_ALL) {
            inner.too_often.get_or_insert(kind);
            if inner.limit.is_none() {
                drop(inner);
                panic!("`{kind}` was asked for {recent} times in a minute");
            }
        }
        if let Some(rule) = inner.rules.iter_mut().find(|rule| rule.kind == kind && rule.times > 0) {
            rule.times -= 1;
            return Some(rule.fault.clone());
        }
        let script = inner.scripts.get_mut(kind).filter(|script| !script.faults.is_empty())?;
        script.next += 1;
        script.faults[(script.next - 1) % script.faults.len()].clone()
    }

    /// How many requests of a kind were sent.
    pub fn asked(&self, kind: &str) -> usize {
        self.inner().requests.iter().filter(|(asked, ..)| *asked == kind).count()
    }

    /// How many requests of each kind were sent.
    pub fn all_asked(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for (kind, ..) in &self.inner().requests {
            *counts.entry(*kind).or_default() += 1;
        }
        counts
    }

    /// How many requests of any kind were sent.
    pub fn requests(&self) -> usize {
        self.inner().requests.len()
    }

    /// Counts from now on.
    pub fn forget_requests(&self) {
        self.inner().requests.clear();
    }

    /// Cuts all watches that are open, and forgets the history, as a restart of the API server does.
    pub fn restart(&self) {
        let mut inner = self.inner();
        inner.store.compacted = inner.store.version;
        inner.cuts = inner.store.version + 1;
        drop(inner);
        self.changed();
    }

    pub fn streams_cut_since(&self, seen: u64) -> bool {
        self.inner().cuts > seen
    }

    // --- Jobs ---

    pub fn jobs(&self) -> Vec<Value> {
        self.inner().store.list("jobs", NAMESPACE).cloned().collect()
    }

    /// The names of all Jobs ever made.
    pub fn jobs_made(&self) -> Vec<String> {
        self.inner().store.jobs_made.clone()
    }

    pub fn update_job(&self, name: &str, change: impl FnOnce(&mut Value)) {
        self.update("jobs", name, change);
    }

    fn update(&self, resource: &str, name: &str, change: impl FnOnce(&mut Value)) {
        let mut inner = self.inner();
        let key: Key = (resource.into(), NAMESPACE.into(), name.into());
        let Some(mut object) = inner.store.get(&key).cloned() else { return };
        change(&mut object);
        inner.store.put(key, object);
        drop(inner);
        self.changed();
    }

    /// Somebody deletes a Job, and its Pods if `with_pods`.
    pub fn vanish(&self, name: &str, with_pods: bool) {
        let mut inner = self.inner();
        let key: Key = ("jobs".into(), NAMESPACE.into(), name.into());
        let gone = inner.store.remove(&key).expect("the Job");
        if with_pods {
            inner.remove_pods_of(&gone);
        }
        drop(inner);
        self.changed();
    }

    /// The Job's condition, as its controller writes it: first the interim one, then the terminal one, once all Pods are
    /// counted.
    pub fn end_job(&self, name: &str, success: bool) {
        let [succeeded, failed] = ["Succeeded", "Failed"].map(|phase| self.count_pods(name, phase));
        self.update_job(name, |job| {
            (job["status"]["succeeded"], job["status"]["failed"]) = (json!(succeeded), json!(failed));
        });
        let types = if success { ["SuccessCriteriaMet", "Complete"] } else { ["FailureTarget", "Failed"] };
        let reason = if success { "CompletionsReached" } else { "BackoffLimitExceeded" };
        for kind in types {
            self.condition(name, kind, reason);
        }
    }

    fn count_pods(&self, job: &str, phase: &str) -> usize {
        let inner = self.inner();
        let pods = inner.store.list("pods", NAMESPACE);
        let of_job = |pod: &&Value| pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] == job;
        pods.filter(of_job).filter(|pod| pod["status"]["phase"] == phase).count()
    }

    pub fn condition(&self, name: &str, kind: &str, reason: &str) {
        self.update_job(name, |job| {
            let condition = json!({"type": kind, "status": "True", "reason": reason, "message": format!("because of {reason}"),
                "lastTransitionTime": "2026-01-01T00:00:09Z"});
            match job["status"]["conditions"].as_array_mut() {
                Some(conditions) => conditions.push(condition),
                None => job["status"]["conditions"] = json!([condition]),
            }
        });
    }

    // --- Pods ---

    /// Makes a running Pod of a Job, with an empty log.
    pub fn start_pod(&self, job: &str) -> String {
        let mut inner = self.inner();
        let key: Key = ("jobs".into(), NAMESPACE.into(), job.into());
        let stored = inner.store.get(&key).expect("the Job");
        let mut labels = stored["spec"]["template"]["metadata"]["labels"].clone();
        let uid = stored["metadata"]["uid"].clone();
        labels["batch.kubernetes.io/controller-uid"] = uid.clone();
        labels["batch.kubernetes.io/job-name"] = json!(job);
        let name = format!("{job}-p{}", inner.store.list("pods", NAMESPACE).count());
        let status = json!({"phase": "Running", "startTime": "2026-01-01T00:00:01Z", "conditions": [{"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [{"name": "base", "image": "", "imageID": "", "ready": true, "restartCount": 0,
                "state": {"running": {"startedAt": "2026-01-01T00:00:02Z"}}}]});
        let pod = json!({"metadata": {"labels": labels,
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": job, "uid": uid, "controller": true}]},
            "spec": {"nodeName": "node1", "containers": []}, "status": status});
        inner.store.create(("pods".into(), NAMESPACE.into(), name.clone()), pod);
        inner.logs.insert((NAMESPACE.into(), name.clone(), "base".into()), LogFile::default());
        drop(inner);
        self.changed();
        name
    }

    pub fn update_pod(&self, pod: &str, change: impl FnOnce(&mut Value)) {
        self.update("pods", pod, change);
    }

    /// A Pod goes, as after an eviction: with its last state, and its log at its end.
    pub fn remove_pod(&self, pod: &str) {
        self.end_log(pod);
        self.inner().store.remove(&("pods".into(), NAMESPACE.into(), pod.into()));
        self.changed();
    }

    /// The base container prints nothing more.
    pub fn end_log(&self, pod: &str) {
        if let Some(file) = self.inner().logs.get_mut(&(NAMESPACE.to_owned(), pod.to_owned(), "base".to_owned())) {
            file.ended = true;
        }
        self.changed();
    }

    /// The kubelet says something about the base container of a Pod.
    pub fn event(&self, pod: &str, reason: &str, message: &str) {
        let mut inner = self.inner();
        let key: Key = ("pods".into(), NAMESPACE.into(), pod.into());
        let uid = inner.store.get(&key).expect("the Pod")["metadata"]["uid"].clone();
        let about = json!({"kind": "Pod", "name": pod, "uid": uid, "fieldPath": "spec.containers{base}"});
        let event = json!({"metadata": {}, "type": "Normal", "reason": reason, "message": message,
            "lastTimestamp": "2026-01-01T00:00:07Z", "involvedObject": about});
        inner.store.create(("events".into(), NAMESPACE.into(), format!("{pod}.{reason}")), event);
    }

    /// Takes all Pods from their owners, as the garbage collector does for a Job that is deleted with Orphan.
    pub fn orphan_pods(&self) {
        let pods: Vec<String> = {
            let inner = self.inner();
            let pods = inner.store.list("pods", NAMESPACE);
            pods.map(|pod| pod["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
        };
        for pod in pods {
            self.update("pods", &pod, |pod| pod["metadata"]["ownerReferences"] = json!([]));
        }
    }

    pub fn print(&self, pod: &str, text: &str) {
        let millis = u64::try_from(self.begin.elapsed().as_millis()).expect("a short test");
        let mut inner = self.inner();
        let file = inner.logs.get_mut(&(NAMESPACE.to_owned(), pod.to_owned(), "base".to_owned())).expect("a log");
        file.lines.push((millis, text.to_owned()));
        drop(inner);
        self.changed();
    }

    /// The sidecar that holds the result prints a line as it ends.
    pub fn sidecar_prints(&self, pod: &str, text: &str) {
        let mut inner = self.inner();
        let file = inner.logs.entry((NAMESPACE.to_owned(), pod.to_owned(), RESULT_SIDECAR.to_owned())).or_default();
        file.lines.push((0, text.to_owned()));
        file.ended = true;
    }

    pub fn end_pod(&self, pod: &str, exit_code: i32) {
        self.end_pod_saying(pod, exit_code, "");
    }

    fn end_pod_saying(&self, pod: &str, exit_code: i32, message: &str) {
        self.end_log(pod);
        self.update("pods", pod, |pod| {
            pod["status"]["phase"] = json!(if exit_code == 0 { "Succeeded" } else { "Failed" });
            pod["status"]["containerStatuses"][0]["state"] = json!({"terminated": {"exitCode": exit_code,
                "message": message, "reason": if exit_code == 0 { "Completed" } else { "Error" }, "startedAt": "2026-01-01T00:00:02Z", "finishedAt": "2026-01-01T00:00:08Z"}});
        });
    }

    /// From now on every new Job takes this course.
    pub fn runs_jobs(self: &Arc<Self>, course: Course) {
        let world = Arc::clone(self);
        tokio::spawn(async move {
            let mut changes = world.subscribe();
            let mut begun = 0;
            loop {
                for name in world.jobs_made().into_iter().skip(begun) {
                    begun += 1;
                    tokio::spawn(Arc::clone(&world).one_job(name, course));
                }
                if changes.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    async fn one_job(self: Arc<Self>, name: String, course: Course) {
        let uid = |world: &Self| {
            let job = world.jobs().into_iter().find(|job| job["metadata"]["name"] == json!(name));
            job.map(|job| job["metadata"]["uid"].clone())
        };
        // A later Job may have the same name.
        let ours = uid(&self);
        let gone = |world: &Self| ours.is_none() || uid(world) != ours;
        tokio::time::sleep(course.pod_after).await;
        if gone(&self) {
            return;
        }
        let pod = self.start_pod(&name);
        for number in 1..=course.lines {
            tokio::time::sleep(course.runs / (course.lines + 1)).await;
            if gone(&self) {
                return;
            }
            self.print(&pod, &format!("line {number}"));
        }
        tokio::time::sleep(course.runs / (course.lines + 1)).await;
        if gone(&self) {
            return;
        }
        self.end_pod_saying(&pod, course.exit_code, course.message);
        tokio::time::sleep(Duration::from_millis(20)).await;
        self.end_job(&name, course.exit_code == 0);
    }
}

impl Inner {
    pub fn remove_pods_of(&mut self, job: &Value) {
        let uid = job["metadata"]["uid"].clone();
        let of_job = |pod: &&Value| pod["metadata"]["labels"]["batch.kubernetes.io/controller-uid"] == uid;
        let pods: Vec<_> =
            self.store.list("pods", NAMESPACE).filter(of_job).map(|pod| pod["metadata"]["name"].clone()).collect();
        for pod in pods {
            let name = pod.as_str().expect("a name").to_owned();
            self.store.remove(&("pods".into(), NAMESPACE.into(), name));
        }
    }
}

/// The order of try `try_number` of one task.
pub fn order(try_number: u32) -> JobRequest {
    order_with(try_number, json!({}))
}

/// The same, with other fields of the request, and of its attempt where they stand under `attempt`.
pub fn order_with(try_number: u32, changes: Value) -> JobRequest {
    let mut request = json!({
        "attempt": {"deployment": "prod", "dag_id": "etl", "run_id": "manual__1", "task_id": "train", "map_index": -1,
            "try_number": try_number, "instance": format!("ti-{try_number}"), "max_tries": 3, "retries": 3, "clear_number": 0},
        "slug": "train",
        "run_time": "2026-01-01T06:00:00Z",
        "arguments": {"image": "train:1"},
    });
    merge(&mut request, changes);
    JobRequest::read(&request).expect("a request")
}

fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, changes) => *into = changes,
    }
}

/// What an attempt handed over until its end.
pub struct Ended {
    pub run: Session,
    pub origin: Option<JobOrigin>,
    pub messages: Vec<String>,
    /// All lines of its log, marks included.
    pub log: Vec<String>,
    pub end: Result<Outcome, Error>,
}

impl Ended {
    pub fn outcome(&self) -> &Outcome {
        self.end.as_ref().unwrap_or_else(|error| panic!("an outcome, not {error}"))
    }

    pub fn error(&self) -> &Error {
        self.end.as_ref().expect_err("an error")
    }
}

/// Runs an attempt to its end.
pub async fn run(cluster: &Cluster, order: JobRequest) -> Ended {
    follow(Session::submit(cluster.clone(), order)).await
}

/// Takes what an attempt hands over, to its end.
pub async fn follow(run: Session) -> Ended {
    let (mut origin, mut messages, mut log) = (None, Vec::new(), Vec::new());
    let end = loop {
        match run.next().await {
            Some(Ok(Event::Submitted { origin: how, .. })) => origin = Some(how),
            Some(Ok(Event::Message(message))) => messages.push(format!("{}: {}", message.code, message.text)),
            Some(Ok(Event::Log(record))) if record.mark => log.push(record.text),
            Some(Ok(Event::Log(record))) => {
                // Lines that share a record begin with their time.
                log.extend(record.text.lines().map(str::to_owned));
            }
            Some(Ok(Event::Outcome(outcome))) => break Ok(*outcome),
            Some(Err(error)) => break Err(error),
            other => panic!("an attempt without an end: {other:?}"),
        }
    };
    Ended { run, origin, messages, log, end }
}
