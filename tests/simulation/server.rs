//! Requests and answers of the simulated API server, as k8s 1.36 gives them for Jobs, Pods, logs and Events.

use std::{collections::HashMap, convert::Infallible, io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, StreamBody, combinators::UnsyncBoxBody};
use kube::client::Body;
use serde_json::{Value, json};

use crate::{
    faults::{Fault, Then},
    store::{Change, Key, matches},
    world::{Inner, World},
};

type Served = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// One request, taken apart.
struct Asked {
    method: Method,
    resource: String,
    namespace: String,
    name: Option<String>,
    log: bool,
    query: HashMap<String, String>,
    body: Value,
}

/// Serves one request, with the fault that waits for it.
pub async fn serve(world: Arc<World>, request: Request<Body>) -> Result<Served, io::Error> {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let asked = take_apart(&parts.method, &parts.uri, &text);
    let kind = asked.kind();
    let fault = world.fault_for(kind, &text);
    if world.asked_too_often() {
        // The test finds it; a loop without a pause would take for ever.
        std::future::pending::<()>().await;
    }
    // A request crosses the link in no time that a test could see, but not in none at all.
    tokio::time::sleep(Duration::from_millis(1)).await;
    match fault {
        Some(Fault::LoseRequest) => return Err(io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused")),
        Some(Fault::Answer { code, reason, message, retry_after }) => {
            let mut response = status(code, reason, &message);
            if let Some(seconds) = retry_after {
                response.headers_mut().insert("retry-after", seconds.into());
            }
            return Ok(response);
        }
        Some(Fault::Instead { code, body }) => return Ok(raw(code, body)),
        Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
        Some(Fault::Body { code, text, then }) => {
            let mut response = body_of(text.into_bytes().into(), then);
            *response.status_mut() = http::StatusCode::from_u16(code).expect("a code");
            return Ok(response);
        }
        Some(Fault::Events(events, then)) if kind.starts_with("watch") => {
            return Ok(body_of(events.iter().flat_map(line).collect::<Vec<_>>().into(), then));
        }
        Some(fault @ (Fault::Continue(_) | Fault::ContinueAnew)) if kind.starts_with("list") => {
            let token = if let Fault::Continue(token) = fault { token } else { world.requests().to_string() };
            let truth = answer(&world, &asked).into_body().collect().await?;
            let mut list: Value = serde_json::from_slice(&truth.to_bytes()).expect("a list");
            list["metadata"]["continue"] = json!(token);
            return Ok(ok(200, &list));
        }
        _ => {}
    }
    let mut response = answer(&world, &asked);
    response.headers_mut().insert(http::header::DATE, world.date().parse().expect("a date"));
    match fault {
        Some(Fault::DelayReply(time)) => {
            tokio::time::sleep(time).await;
            Ok(response)
        }
        Some(Fault::Warn(header)) => {
            response.headers_mut().insert(http::header::WARNING, header.parse().expect("a header"));
            Ok(response)
        }
        Some(Fault::DoneThen { code, body }) => Ok(raw(code, body)),
        Some(Fault::LoseReply) => Err(io::Error::new(io::ErrorKind::ConnectionReset, "connection reset")),
        Some(Fault::CutBodyAfter(bytes)) => Ok(cut(response, bytes, true)),
        Some(Fault::EndBodyAfter(bytes)) => Ok(cut(response, bytes, false)),
        _ => Ok(response),
    }
}

fn take_apart(method: &Method, uri: &http::Uri, body: &str) -> Asked {
    let parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
    // After group and version: a collection of the cluster, or one of a namespace.
    let rest = &parts[if parts[0] == "api" { 2 } else { 3 }..];
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        rest => ("", rest),
    };
    let query = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key.to_owned(), percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
    });
    Asked {
        method: method.clone(),
        resource: rest[0].to_owned(),
        namespace: namespace.to_owned(),
        name: rest.get(1).map(|name| (*name).to_owned()),
        log: rest.get(2) == Some(&"log"),
        query: query.collect(),
        body: serde_json::from_str(body).unwrap_or(Value::Null),
    }
}

impl Asked {
    /// Such as `create jobs`, `watch pods`, `log`.
    fn kind(&self) -> &'static str {
        let watch = self.query.contains_key("watch");
        match (&self.method, self.resource.as_str(), self.name.is_some(), watch) {
            _ if self.log => "log",
            (&Method::POST, "jobs", false, _) => "create jobs",
            (&Method::GET, "jobs", true, _) => "get jobs",
            (&Method::GET, "cronjobs", true, _) => "get cronjobs",
            (&Method::GET, "jobs", false, true) => "watch jobs",
            (&Method::GET, "jobs", false, false) => "list jobs",
            (&Method::PATCH, "jobs", true, _) => "patch jobs",
            (&Method::DELETE, "jobs", true, _) => "delete jobs",
            (&Method::DELETE, "pods", true, _) => "delete pods",
            (&Method::GET, "pods", true, _) => "get pods",
            (&Method::GET, "pods", false, true) => "watch pods",
            (&Method::GET, "pods", false, false) => "list pods",
            (&Method::GET, "events", false, false) => "list events",
            (&Method::GET, "workloads", false, false) => "list workloads",
            (&Method::GET, "localqueues", true, _) => "get pendingworkloads",
            (&Method::GET, "namespaces", true, _) => "get namespaces",
            (&Method::GET, "nodes", true, _) => "get nodes",
            (&Method::GET, "nodes", false, false) => "list nodes",
            (&Method::GET, "namespaces", false, false) => "list namespaces",
            (&Method::PATCH, "pods", true, _) => "patch pods",
            _ => panic!("not simulated: {} {}", self.method, self.resource),
        }
    }

    fn key(&self) -> Key {
        let name = self.name.clone().or_else(|| self.body["metadata"]["name"].as_str().map(str::to_owned));
        (self.resource.clone(), self.namespace.clone(), name.expect("a name"))
    }

    fn asked(&self, key: &str) -> &str {
        self.query.get(key).map_or("", String::as_str)
    }
}

fn answer(world: &Arc<World>, asked: &Asked) -> Served {
    match asked.kind() {
        "log" => return log(world, asked),
        "watch jobs" | "watch pods" => return watch(world, asked),
        _ => {}
    }
    let mut inner = world.inner();
    let response = match asked.kind() {
        "create jobs" => create(&mut inner, asked),
        "get jobs" | "get cronjobs" | "get pods" => match inner.store.get(&asked.key()) {
            Some(object) => ok(200, &presented(asked, object)),
            None => not_found(asked),
        },
        "list jobs" | "list pods" | "list events" | "list workloads" => list(&inner, asked),
        "get pendingworkloads" => pending_workloads(&inner, asked),
        "patch jobs" | "patch pods" => patch(&mut inner, asked),
        "get namespaces" => match inner.namespaces.get(asked.name.as_deref().unwrap_or_default()) {
            Some(terminating) => {
                let phase = if *terminating { "Terminating" } else { "Active" };
                let metadata = json!({"name": asked.name, "uid": "of a namespace"});
                ok(200, &json!({"kind": "Namespace", "metadata": metadata, "status": {"phase": phase}}))
            }
            None => not_found(asked),
        },
        "get nodes" => {
            let ready = json!([{"type": "Ready", "status": "True"}]);
            let metadata = json!({"name": asked.name, "uid": "of a node"});
            ok(200, &json!({"kind": "Node", "metadata": metadata, "status": {"conditions": ready}}))
        }
        "list nodes" => {
            let node = json!({"metadata": {"name": "node1", "uid": "of a node"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
            ok(200, &json!({"kind": "NodeList", "metadata": {"resourceVersion": "1"}, "items": [node]}))
        }
        "list namespaces" => {
            let items: Vec<_> = inner.namespaces.keys().map(|name| json!({"metadata": {"name": name}})).collect();
            ok(200, &json!({"kind": "NamespaceList", "metadata": {"resourceVersion": "1"}, "items": items}))
        }
        "delete jobs" => delete(&mut inner, asked),
        "delete pods" => delete_pod(&mut inner, asked),
        other => panic!("not simulated: {other}"),
    };
    drop(inner);
    world.changed();
    response
}

fn create(inner: &mut Inner, asked: &Asked) -> Served {
    let key = asked.key();
    match inner.namespaces.get(&asked.namespace).copied() {
        None => return status(404, "NotFound", &format!("namespaces \"{}\" not found", asked.namespace)),
        Some(true) => {
            let mut body = status_body(
                403,
                "Forbidden",
                "unable to create new content in namespace because it is being terminated",
            );
            body["details"] = json!({"causes": [{"reason": "NamespaceTerminating"}]});
            return ok(403, &body);
        }
        Some(false) => {}
    }
    // The quota is checked before the name.
    if inner.store.list("jobs", &asked.namespace).count() >= inner.quota {
        return status(403, "Forbidden", &format!("jobs.batch \"{}\" is forbidden: exceeded quota: small", key.2));
    }
    if let Some(present) = inner.store.get(&key) {
        let prefix = if present["metadata"]["deletionTimestamp"].is_null() { "" } else { "object is being deleted: " };
        return status(409, "AlreadyExists", &format!("{prefix}jobs.batch \"{}\" already exists", key.2));
    }
    let created = inner.store.create(key, asked.body.clone());
    ok(201, &presented(asked, &created))
}

fn list(inner: &Inner, asked: &Asked) -> Served {
    let items: Vec<_> = inner
        .store
        .list(&asked.resource, &asked.namespace)
        .filter(|object| matches(object, asked.asked("labelSelector"), asked.asked("fieldSelector")))
        .collect();
    let kind = format!("{}List", kind(&asked.resource));
    ok(200, &json!({"kind": kind, "metadata": {"resourceVersion": inner.store.version.to_string()}, "items": items}))
}

/// What Kueue's visibility API answers: each Workload of the queue waits.
fn pending_workloads(inner: &Inner, asked: &Asked) -> Served {
    let queue = asked.name.as_deref();
    let of_queue =
        inner.store.list("workloads", &asked.namespace).filter(|one| one["spec"]["queueName"].as_str() == queue);
    let limit = asked.asked("limit").parse().expect("a limit");
    let items: Vec<_> = of_queue
        .enumerate()
        .take(limit)
        .map(|(position, one)| json!({"metadata": one["metadata"], "positionInLocalQueue": position}))
        .collect();
    ok(200, &json!({"kind": "PendingWorkloadsSummary", "metadata": {}, "items": items}))
}

fn patch(inner: &mut Inner, asked: &Asked) -> Served {
    let key = asked.key();
    let Some(mut object) = inner.store.get(&key).cloned() else { return not_found(asked) };
    let patch: json_patch::Patch = serde_json::from_value(asked.body.clone()).expect("a JSON Patch");
    if json_patch::patch(&mut object, &patch).is_err() {
        return status(422, "Invalid", "the server rejected our request due to an error in our request");
    }
    if asked.asked("dryRun") == "All" {
        return ok(200, &presented(asked, &object));
    }
    let stored = inner.store.put(key, object);
    ok(200, &presented(asked, &stored))
}

fn delete(inner: &mut Inner, asked: &Asked) -> Served {
    let key = asked.key();
    let Some(mut object) = inner.store.get(&key).cloned() else { return not_found(asked) };
    for field in ["uid", "resourceVersion"] {
        let wanted = &asked.body["preconditions"][field];
        if !wanted.is_null() && *wanted != object["metadata"][field] {
            return status(409, "Conflict", &format!("the {field} in the precondition does not match"));
        }
    }
    object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:01Z");
    let held = !object["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
    let foreign = object["metadata"]["finalizers"].as_array().cloned().unwrap_or_default();
    let mut finalizers: Vec<_> = foreign.into_iter().filter(|f| f != "orphan" && f != "foregroundDeletion").collect();
    match asked.body["propagationPolicy"].as_str() {
        Some("Background") => {}
        Some("Foreground") => finalizers.push(json!("foregroundDeletion")),
        // The default of batch/v1 Jobs.
        Some("Orphan") | None => finalizers.push(json!("orphan")),
        Some(other) => panic!("not simulated: {other}"),
    }
    if held && finalizers.is_empty() && !asked.body["preconditions"]["resourceVersion"].is_null() {
        // Kubernetes compares with the version of an object that it has not written.
        let text = "Precondition failed: ResourceVersion in precondition: , ResourceVersion in object meta: 580";
        return status(409, "Conflict", text);
    }
    object["metadata"]["finalizers"] = json!(finalizers);
    let stored = inner.store.put(key.clone(), object);
    if inner.store.get(&key).is_some() {
        return ok(200, &presented(asked, &stored));
    }
    if inner.collects_garbage {
        inner.remove_pods_of(&stored);
    }
    let details = json!({"name": key.2, "group": "batch", "kind": "jobs", "uid": stored["metadata"]["uid"]});
    ok(200, &json!({"kind": "Status", "apiVersion": "v1", "status": "Success", "details": details}))
}

fn delete_pod(inner: &mut Inner, asked: &Asked) -> Served {
    let key = asked.key();
    let Some(mut object) = inner.store.get(&key).cloned() else { return not_found(asked) };
    if asked.body["preconditions"]["uid"] != object["metadata"]["uid"] {
        return status(409, "Conflict", "the UID in the precondition does not match");
    }
    object["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:01Z");
    let stored = inner.store.put(key, object);
    ok(200, &presented(asked, &stored))
}

fn watch(world: &Arc<World>, asked: &Asked) -> Served {
    let (world, labels, fields) =
        (Arc::clone(world), asked.asked("labelSelector").to_owned(), asked.asked("fieldSelector").to_owned());
    let (resource, namespace) = (asked.resource.clone(), asked.namespace.clone());
    let from: Option<u64> = asked.query.get("resourceVersion").map(|version| version.parse().expect("a version"));
    let seconds: u64 = asked.asked("timeoutSeconds").parse().expect("a watch without an end is not asked for");
    let ends = tokio::time::Instant::now() + Duration::from_secs(seconds);
    let stream = async_stream::stream! {
        let mut changes = world.subscribe();
        let (mut seen, present) = {
            let inner = world.inner();
            let present = inner.store.list(&resource, &namespace).filter(|object| matches(object, &labels, &fields));
            (from.unwrap_or(inner.store.version), present.cloned().collect::<Vec<_>>())
        };
        if seen < world.inner().store.compacted {
            let status = status_body(410, "Expired", "too old resource version");
            yield Ok::<_, io::Error>(line(&json!({"type": "ERROR", "object": status})));
            return;
        }
        // Without a version a watch begins with what is there, in any order.
        for mut object in present.into_iter().filter(|_| from.is_none()).rev() {
            object["kind"] = json!(kind(&resource));
            yield Ok(line(&json!({"type": "ADDED", "object": object})));
        }
        loop {
            let news: Vec<Change> = {
                let inner = world.inner();
                inner.store.history.iter().filter(|change| change.version > seen).cloned().collect()
            };
            for change in news {
                seen = change.version;
                if change.key.0 == resource && change.key.1 == namespace && let Some(event) = event(&change, &labels, &fields) {
                    yield Ok(line(&event));
                }
            }
            if tokio::time::timeout_at(ends, changes.changed()).await.is_err() {
                return;
            }
            if world.streams_cut_since(seen) {
                yield Err(io::Error::new(io::ErrorKind::ConnectionReset, "connection reset"));
                return;
            }
        }
    };
    streamed(stream)
}

/// What a watch with this selector tells of a change: leaving the selector looks like a deletion.
fn event(change: &Change, labels: &str, fields: &str) -> Option<Value> {
    let matching = |object: &Option<Value>| object.as_ref().is_some_and(|object| matches(object, labels, fields));
    let (kind, object) = match (matching(&change.before), matching(&change.after)) {
        (false, true) => ("ADDED", change.after.clone()),
        (true, true) => ("MODIFIED", change.after.clone()),
        (true, false) => ("DELETED", change.after.clone().or_else(|| change.before.clone())),
        (false, false) => return None,
    };
    let mut object = object?;
    object["kind"] = json!(self::kind(&change.key.0));
    Some(json!({"type": kind, "object": object}))
}

fn log(world: &Arc<World>, asked: &Asked) -> Served {
    let key = (asked.namespace.clone(), asked.name.clone().expect("a Pod"), asked.asked("container").to_owned());
    let inner = world.inner();
    if inner.store.get(&("pods".into(), key.0.clone(), key.1.clone())).is_none() {
        return status(404, "NotFound", &format!("pods \"{}\" not found", key.1));
    }
    if !inner.logs.contains_key(&key) {
        return status(400, "BadRequest", "container is waiting to start: ContainerCreating");
    }
    drop(inner);
    let world = Arc::clone(world);
    let since = asked.query.get("sinceTime").cloned();
    let timestamps = asked.query.get("timestamps").is_some_and(|asked| asked == "true");
    let stream = async_stream::stream! {
        let mut sent = 0;
        let mut changes = world.subscribe();
        loop {
            let (bytes, count, ended) = {
                let inner = world.inner();
                let file = inner.logs.get(&key).cloned().unwrap_or_default();
                (file.served(since.as_deref(), timestamps, sent), file.lines.len(), file.ended)
            };
            sent = count;
            if !bytes.is_empty() {
                yield Ok::<_, io::Error>(Bytes::from(bytes));
            }
            if ended || changes.changed().await.is_err() {
                return;
            }
        }
    };
    streamed(stream)
}

/// An object as an answer shows it, with its kind; in a list it has none.
fn presented(asked: &Asked, object: &Value) -> Value {
    let mut presented = object.clone();
    presented["kind"] = json!(kind(&asked.resource));
    presented
}

fn kind(resource: &str) -> &'static str {
    match resource {
        "jobs" => "Job",
        "cronjobs" => "CronJob",
        "pods" => "Pod",
        "events" => "Event",
        "workloads" => "Workload",
        other => panic!("not simulated: {other}"),
    }
}

fn not_found(asked: &Asked) -> Served {
    status(404, "NotFound", &format!("{} \"{}\" not found", asked.resource, asked.name.as_deref().unwrap_or_default()))
}

fn status(code: u16, reason: &str, message: &str) -> Served {
    ok(code, &status_body(code, reason, message))
}

fn status_body(code: u16, reason: &str, message: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message})
}

fn ok(code: u16, body: &Value) -> Served {
    let body = http_body_util::Full::new(Bytes::from(body.to_string())).map_err(|never: Infallible| match never {});
    Response::builder().status(code).body(UnsyncBoxBody::new(body)).expect("a response")
}

/// An answer of somebody who is no API server.
fn raw(code: u16, body: &'static str) -> Served {
    let body = http_body_util::Full::new(Bytes::from(body)).map_err(|never: Infallible| match never {});
    let location = "https://alice:secret@login.example/next?token=secret";
    let response = Response::builder().status(code).header("location", location);
    response.body(UnsyncBoxBody::new(body)).expect("a response")
}

fn line(event: &Value) -> Bytes {
    Bytes::from(format!("{event}\n"))
}

/// A body that ends, or does not.
fn body_of(bytes: Bytes, then: Then) -> Served {
    streamed(async_stream::stream! {
        yield Ok::<_, io::Error>(bytes.clone());
        match then {
            Then::End => {}
            Then::Break => yield Err(io::Error::new(io::ErrorKind::ConnectionReset, "connection reset")),
            Then::Silence => std::future::pending().await,
            Then::Again => loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                yield Ok(bytes.clone());
            },
        }
    })
}

fn streamed(stream: impl futures::Stream<Item = io::Result<Bytes>> + Send + 'static) -> Served {
    let frames = futures::StreamExt::map(stream, |chunk| chunk.map(http_body::Frame::data));
    Response::builder().status(200).body(UnsyncBoxBody::new(StreamBody::new(frames))).expect("a response")
}

/// Ends a body after so many bytes, broken or as if it were whole.
fn cut(response: Served, bytes: usize, broken: bool) -> Served {
    let (parts, body) = response.into_parts();
    let stream = async_stream::stream! {
        let mut left = bytes;
        let mut data = std::pin::pin!(body.into_data_stream());
        while let Some(chunk) = futures::StreamExt::next(&mut data).await {
            let chunk = chunk?;
            if chunk.len() >= left {
                yield Ok(chunk.slice(..left));
                if broken {
                    yield Err(io::Error::new(io::ErrorKind::ConnectionReset, "connection reset"));
                }
                return;
            }
            left -= chunk.len();
            yield Ok(chunk);
        }
    };
    let mut served = streamed(stream);
    *served.status_mut() = parts.status;
    served
}
