//! No text that anybody gives, writes or answers makes a request go anywhere else than it is meant to.

use std::{
    collections::BTreeSet,
    future::poll_fn,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Method, Request, Response};
use kube::{Client, client::Body};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::{
    runtime::{Builder, Handle},
    sync::mpsc,
};
use unique_k8s_job::{
    cluster::{Cluster, Configuration, Timing},
    delete::DeleteRequest,
    diagnose::{
        collect::by_name,
        rights::rights,
        survey::{DiagnosisSender, survey},
    },
    error::Error,
    follow::shared_watch::Hubs,
    identity::{ContainerName, JobName, Namespace, PodName},
    logs::LogQuota,
    model::handoff::Handoff,
    resource::Namespaces,
    session::{
        Session, Work,
        find_jobs::{JobSelector, find_jobs},
        waiter::SharedWatches,
    },
    submit::request::JobRequest,
};

/// An API server that answers everything with objects which carry one text wherever a name can be, and remembers
/// where it was asked.
#[derive(Clone)]
struct Recorder {
    text: String,
    asked: Arc<Mutex<Vec<(Method, http::Uri)>>>,
}

impl Recorder {
    fn new(text: &str) -> Self {
        Self { text: text.to_owned(), asked: Arc::default() }
    }

    fn cluster(&self) -> Cluster {
        let recorder = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let answer = recorder.answer(&request);
            async move {
                // A request crosses the link in no time that a test could see, but not in none at all.
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok::<_, io::Error>(answer)
            }
        });
        let timing = Timing { retry_for: Duration::from_secs(1), ..Timing::default() };
        Cluster::from_client(Client::new(service, self.text.as_str()), timing, 7)
    }

    fn answer(&self, request: &Request<Body>) -> Response<http_body_util::Full<bytes::Bytes>> {
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let watch = uri.query().unwrap_or_default().contains("watch=true");
        let collection = ["jobs", "pods", "events", "nodes"].iter().any(|kind| uri.path().ends_with(kind));
        let pods = uri.path().contains("/pods");
        self.asked.lock().unwrap().push((method.clone(), uri));
        let object = self.object(if pods { "Pod" } else { "Job" });
        let (code, body) = match method {
            Method::POST => (404, json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound"})),
            Method::GET if watch => (200, json!({"type": "ADDED", "object": object})),
            Method::GET if collection => {
                let kind = if pods { "PodList" } else { "JobList" };
                (200, json!({"kind": kind, "metadata": {"resourceVersion": self.text}, "items": [object]}))
            }
            _ => (200, object),
        };
        let body = http_body_util::Full::new(bytes::Bytes::from(format!("{body}\n")));
        Response::builder().status(code).body(body).unwrap()
    }

    fn object(&self, kind: &str) -> Value {
        let text = &self.text;
        let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": text, "uid": text, "controller": true});
        let labels = json!({"batch.kubernetes.io/controller-uid": text, "batch.kubernetes.io/job-name": text});
        let status = json!({"phase": "Running", "containerStatuses": [{"name": text, "image": "", "imageID": "", "ready": true,
            "restartCount": 0, "state": {"running": {"startedAt": "2026-01-01T00:00:02Z"}}}]});
        json!({"kind": kind, "metadata": {"namespace": text, "name": text, "uid": text, "resourceVersion": text,
            "labels": labels, "ownerReferences": [owner]}, "spec": {"nodeName": text, "template": {}, "containers": []},
            "status": if kind == "Pod" { status } else { json!({}) }})
    }

    /// What was asked has the segments of a request of ours, each of them a name or a word of the API.
    fn check(&self) -> Result<(), TestCaseError> {
        for (method, uri) in self.asked.lock().unwrap().iter() {
            let segments: Vec<_> = uri.path().split('/').skip(1).collect();
            // The spaces around a name are no part of it.
            let known = |name: &str| name == self.text.trim() || ["etl", "train", "default", "base"].contains(&name);
            let namespace = |name: &str| name.parse::<Namespace>().is_ok() && known(name);
            let job = |name: &str| name.parse::<JobName>().is_ok() && (known(name) || name.contains("20260101t060000"));
            let pod = |name: &str| name.parse::<PodName>().is_ok() && known(name);
            let meant = match segments[..] {
                ["apis", "batch", "v1", "namespaces", n, "jobs"]
                | ["api", "v1", "namespaces", n, "pods" | "events"] => namespace(n) && method != Method::DELETE,
                ["apis", "batch", "v1", "namespaces", n, "jobs", name] => namespace(n) && job(name),
                ["apis", "batch", "v1", "namespaces", n, "cronjobs", name] => {
                    namespace(n) && job(name) && method == Method::GET
                }
                ["api", "v1", "namespaces", n, "pods", name] => namespace(n) && pod(name),
                ["api", "v1", "namespaces", n, "pods", name, "log"] => {
                    namespace(n) && pod(name) && method == Method::GET
                }
                ["api", "v1", "namespaces", n] => namespace(n) && method == Method::GET,
                ["api", "v1", "nodes"] | ["readyz" | "version"] => method == Method::GET,
                ["api", "v1", "nodes", name] => pod(name) && method == Method::GET,
                ["apis", "authorization.k8s.io", "v1", "selfsubjectaccessreviews"]
                | ["apis", "authentication.k8s.io", "v1", "selfsubjectreviews"] => method == Method::POST,
                _ => false,
            };
            prop_assert!(meant, "{method} {uri} for {:?}", self.text);
            let keys: BTreeSet<_> = uri.query().into_iter().flat_map(|query| query.split('&')).collect();
            for pair in keys {
                let key = pair.split('=').next().unwrap_or_default();
                let ours = [
                    "limit",
                    "continue",
                    "labelSelector",
                    "fieldSelector",
                    "watch",
                    "allowWatchBookmarks",
                    "timeoutSeconds",
                    "resourceVersion",
                    "dryRun",
                    "fieldValidation",
                    "container",
                    "timestamps",
                    "follow",
                    "previous",
                    "sinceTime",
                    "verbose",
                    "tailLines",
                    "limitBytes",
                ];
                prop_assert!(ours.contains(&key), "{uri} for {:?}", self.text);
                if let Some(container) = pair.strip_prefix("container=") {
                    prop_assert!(container.parse::<ContainerName>().is_ok(), "{uri}");
                }
            }
        }
        Ok(())
    }
}

/// Runs until it ends, or for as long as whoever means it would wait.
async fn for_a_while(work: impl Future<Output = ()>) {
    let _ = tokio::time::timeout(Duration::from_secs(20), work).await;
}

async fn run(cluster: &Cluster, request: &Value) {
    let Ok(order) = JobRequest::read(request) else { return };
    let run = Session::submit(cluster.clone(), order);
    for_a_while(async { while run.next().await.is_some() {} }).await;
    let _ = run.delete(Duration::from_secs(2), &|_| {}).await;
}

async fn delete(cluster: &Cluster, request: &Value) {
    let Ok(order) = DeleteRequest::read(request) else { return };
    let deletion = Work::delete_jobs(cluster.clone(), order);
    for_a_while(async { while deletion.next().await.is_some() {} }).await;
}

async fn wait(cluster: &Cluster, request: &Value) {
    let Ok(handoff) = Handoff::read(&request.to_string()) else { return };
    let room = SharedWatches { hubs: Arc::new(Hubs::new(cluster.clone())), quota: Arc::new(LogQuota::default()) };
    let waiter = Session::follow(room, handoff);
    for_a_while(async {
        loop {
            poll_fn(|context| waiter.poll_ready(context, &Handle::current())).await;
            if waiter.take().is_empty() {
                return;
            }
        }
    })
    .await;
    waiter.store_positions().await;
    let _ = waiter.delete(Duration::from_secs(2), &|_| {}).await;
}

/// Where a survey tells what it finds, to nobody.
pub fn unheard() -> DiagnosisSender {
    mpsc::channel(1).0
}

async fn examine(cluster: &Cluster, text: &str) {
    let Ok(etl) = "etl".parse::<Namespace>() else { return };
    if let Ok(namespace) = text.parse::<Namespace>() {
        let _ = survey(cluster, &Namespaces::One(namespace.clone()), &unheard()).await;
        let _ = rights(cluster, &namespace).await;
    }
    if let Ok(name) = text.parse::<JobName>() {
        let _ = by_name(cluster, &etl, &name).await;
    }
    let _ = survey(cluster, &Namespaces::One(etl), &unheard()).await;
}

async fn every_way_in(recorder: &Recorder) {
    let (cluster, text) = (&recorder.cluster(), recorder.text.as_str());
    let attempt = json!({"deployment": text, "dag_id": text, "run_id": text, "task_id": text, "map_index": -1,
        "try_number": 2, "instance": text, "max_tries": 3, "retries": 3, "clear_number": 0});
    let whole = json!({"attempt": attempt, "slug": text, "run_time": "2026-01-01T06:00:00Z", "arguments": {"image": text},
        "startup_timeout_seconds": 3});
    let with = |changes: Value| {
        let mut request = whole.clone();
        json_patch::merge(&mut request, &changes);
        request
    };
    run(cluster, &whole).await;
    run(cluster, &with(json!({"namespace": text}))).await;
    run(cluster, &with(json!({"namespace": "etl", "fixed_name": text}))).await;
    run(cluster, &with(json!({"namespace": "etl", "known_names": [text], "lookup": false}))).await;
    run(cluster, &with(json!({"namespace": "etl", "from_cron_job": text}))).await;
    let metadata = json!({"namespace": text, "name": text, "generateName": text});
    run(cluster, &with(json!({"manifest": {"metadata": metadata, "spec": {}}}))).await;
    for target in [
        json!({"kind": "name", "name": text}),
        json!({"kind": "name", "name": "train", "uid": text}),
        json!({"kind": "uid", "uid": text}),
        json!({"kind": "selector", "labels": text}),
    ] {
        delete(cluster, &json!({"target": target, "namespace": "etl", "timeout_seconds": 5})).await;
        delete(cluster, &json!({"target": target, "namespace": text, "timeout_seconds": 5})).await;
        delete(cluster, &json!({"target": target, "timeout_seconds": 5})).await;
    }
    for job in [
        json!({"namespace": text, "name": "train", "uid": text}),
        json!({"namespace": "etl", "name": text, "uid": text}),
    ] {
        let position = json!({"pod": text, "container": text, "restart": 0, "second": text, "lines": 1, "last": 0});
        wait(cluster, &json!({"job": job, "owner": text, "task": text, "positions": [position]})).await;
        wait(cluster, &json!({"job": job})).await;
    }
    for target in [json!({"namespace": text, "name": "train"}), json!({"name": text}), json!({"label_selector": text})]
    {
        if let Ok(target) = JobSelector::read(&target) {
            let _ = find_jobs(cluster, &target).await;
        }
    }
    examine(cluster, text).await;
}

fn try_all(text: &str) -> Result<(), TestCaseError> {
    let recorder = Recorder::new(text);
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(every_way_in(&recorder));
    recorder.check()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn no_text_changes_the_segments_of_a_path(text in "\\PC{0,12}|[a-z0-9./?#%&=\\n -]{0,12}|[a-z]{1,4}(/|\\?|#|%2[fe]|\\.\\.|;)[a-z/]{0,8}") {
        try_all(&text)?;
    }
}

#[test]
fn texts_that_once_went_elsewhere_do_not() {
    for text in
        ["etl/jobs/victim?x=", "x/pods/y/exec?command=id#", "..", ".", "%2e%2e", "a/../b", "etl", "a b", "a\nb", ""]
    {
        try_all(text).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The namespace that a kubeconfig's context leads to.
fn namespace_of(context: &Value, connection: &Value) -> Result<Namespace, Error> {
    let kubeconfig = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "k", "cluster": {"server": "http://127.0.0.1:1"}}], "users": [{"name": "u", "user": {}}],
        "contexts": [{"name": "c", "context": context}]});
    let mut configuration = json!({"source": "text", "text": kubeconfig.to_string()});
    json_patch::merge(&mut configuration, connection);
    let configuration = Configuration::read(&configuration)?;
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(Cluster::new(configuration, Timing::default(), 7).namespace())
}

#[test]
fn empty_namespace_of_a_context_is_default_as_with_kubectl() {
    for (given, expected) in [(json!(""), "default"), (Value::Null, "default"), (json!("etl"), "etl")] {
        let context = json!({"cluster": "k", "user": "u", "namespace": given});
        assert_eq!(namespace_of(&context, &json!({})).unwrap().as_str(), expected);
    }
}

#[test]
fn namespace_that_is_none_is_refused_by_the_field_that_gives_it() {
    let context = json!({"cluster": "k", "user": "u", "namespace": "etl/jobs/victim?x="});
    let cases = [
        (namespace_of(&context, &json!({})), "`namespace` of the current context"),
        (namespace_of(&context, &json!({"context": "c"})), "`namespace` of the context `c`"),
        (
            namespace_of(&json!({"cluster": "k", "user": "u"}), &json!({"namespace": "a b"})),
            "`namespace` of the connection",
        ),
    ];
    for (refused, whose) in cases {
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::Configuration(_)), "{error}");
        assert!(error.to_string().contains(whose), "{error}");
    }
}

#[test]
fn name_that_is_none_is_refused_by_its_argument() {
    let attempt = json!({"deployment": "d", "dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1,
        "try_number": 1, "instance": "i"});
    let run = |changes: Value| {
        let mut request = json!({"attempt": attempt, "slug": "s", "run_time": "2026-01-01T06:00:00Z"});
        json_patch::merge(&mut request, &changes);
        JobRequest::read(&request).unwrap_err()
    };
    let delete = |request: Value| DeleteRequest::read(&request).unwrap_err();
    let cases = [
        (run(json!({"namespace": "x/pods/y/exec?command=id#"})), "`namespace`", "InvalidManifestError"),
        (run(json!({"namespace": "a\nb"})), "`namespace`", "InvalidManifestError"),
        (run(json!({"manifest": {"metadata": {"namespace": "../x"}}})), "metadata.namespace", "InvalidManifestError"),
        (run(json!({"manifest": {"metadata": {"namespace": 3}}})), "metadata.namespace", "InvalidManifestError"),
        (run(json!({"fixed_name": "a/b"})), "fixed name", "InvalidManifestError"),
        (delete(json!({"target": {"kind": "name", "name": "None"}})), "`name`", "ConfigurationError"),
        (delete(json!({"target": {"kind": "name", "name": ""}})), "`name`", "ConfigurationError"),
        (
            delete(json!({"target": {"kind": "name", "name": "a"}, "namespace": "etl/jobs/victim?x="})),
            "`namespace`",
            "ConfigurationError",
        ),
    ];
    for (error, argument, class) in cases {
        assert_eq!(error.class(), class, "{error}");
        assert!(error.to_string().contains(argument), "{error}");
    }
}
