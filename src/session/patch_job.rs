//! Changes a Job that anybody may have made: suspends it, resumes it, or changes how many of its Pods run.
//!
//! Promise: exactly the Job that was meant is changed, because each PATCH first tests its uid. What is not named stays as it
//! is, and a Job that already is as it should be is not written. A suspension or a resumption is confirmed: the Job
//! controller has acted on it, or the answer says that it has not.
//! Cost: a GET, a PATCH, and GETs with growing pauses until the controller has acted.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use crate::{
    cluster::{Cluster, Pauses},
    error::{Error, Report},
    identity::{JobName, NameField, Namespace, read_request, refused_as, trimmed_option},
    job_api::{
        api_call::ApiCall,
        jobs::{find_job, find_job_or_error, named},
    },
    manifest::overlay,
    model::{
        conditions,
        job::Job,
        observed_job::{JobReference, ObservedJob},
    },
    resource::Object,
};

const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Which Job is changed, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PatchRequest {
    /// Where; else the namespace of the configuration.
    #[serde(default, deserialize_with = "trimmed_option")]
    pub namespace: Option<Namespace>,
    /// The Job of this name.
    pub name: JobName,
    /// Only if it has this uid.
    #[serde(default)]
    pub uid: Option<String>,
    /// A part of a Job, which is laid over it.
    pub body: Value,
    /// How long to wait for the Job controller, in seconds; 0 does not wait.
    pub timeout_seconds: u32,
}

/// The Job as it is after the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is one fact of the answer")]
pub struct PatchedJob {
    /// Which Job.
    pub job: JobReference,
    /// Whether anything had to be written.
    pub changed: bool,
    /// Whether the Job controller has acted on it, as far as that can be seen.
    pub confirmed: bool,
    /// Whether the Job has ended, so that a change has no effect any more.
    pub finished: bool,
    /// `spec.suspend`.
    pub suspended: bool,
    /// `spec.parallelism`.
    pub parallelism: Option<i32>,
    /// How many of its Pods have not ended.
    pub active: i32,
}

impl PatchRequest {
    /// Reads a request.
    pub fn read(request: &Value) -> Result<Self, Error> {
        let names: [NameField<'_>; 2] = [("/namespace", refused_as::<Namespace>), ("/name", refused_as::<JobName>)];
        let request: Self = read_request(request, "The request cannot be read", &names)?;
        let ours = ["apiVersion", "kind"];
        if !request.body.as_object().is_some_and(|body| body.keys().any(|key| !ours.contains(&key.as_str()))) {
            return Err(Error::Configuration(Box::new(
                Report::new("What is to be changed of the Job is not said")
                    .hint("give `suspend`, `parallelism`, `completions` or `body`")
                    .fact("path", "body"),
            )));
        }
        Ok(request)
    }
}

/// Changes the Job, and waits until its controller has acted.
pub async fn patch_job(cluster: &Cluster, request: &PatchRequest) -> Result<PatchedJob, Error> {
    let namespace = match &request.namespace {
        Some(namespace) => namespace.clone(),
        None => cluster.namespace().await?,
    };
    let job = Object::Job(&namespace, &request.name);
    let name = named(&namespace, &request.name);
    let found = cluster.get(job).await.map_err(|failure| ApiCall::GetJob(&name).failed(failure, None))?;
    let Some(found) = found else {
        return Err(Error::Configuration(Box::new(
            Report::new(format!("{name} does not exist, so nothing was changed"))
                .hint(format!("to see which Jobs there are: kubectl -n {namespace} get jobs"))
                .fact("path", "name"),
        )));
    };
    let before = seen(&found, &name)?;
    let meant = request.uid.as_ref().unwrap_or(&before.reference.uid);
    if *meant != before.reference.uid {
        return Err(another(&before.reference, meant));
    }
    let changes = changes(&found, &request.body);
    if changes.is_empty() {
        return confirmed(cluster, before, false, request.timeout_seconds).await;
    }
    let mut patch = vec![json!({"op": "test", "path": "/metadata/uid", "value": meant})];
    patch.extend(changes);
    match cluster.patch(job, &Value::Array(patch)).await {
        Ok(answer) => confirmed(cluster, seen(&answer, &name)?, true, request.timeout_seconds).await,
        Err(failure) => {
            // A failed test is a bare 422, so the Job says why.
            match find_job(cluster, &namespace, &request.name).await {
                Ok(Some(now)) if now.reference.uid != *meant => Err(another(&now.reference, meant)),
                _ => Err(ApiCall::PatchJob(&name).failed(failure, None)),
            }
        }
    }
}

fn seen(object: &Value, name: &str) -> Result<ObservedJob, Error> {
    ObservedJob::read(object).map_err(|unreadable| ApiCall::GetJob(&name).failed(unreadable.into(), None))
}

fn another(job: &JobReference, meant: &str) -> Error {
    Error::NameTaken(Box::new(
        job.report(format!("{job} is another Job than the one that was meant, so nothing was changed"))
            .seen(format!("its uid is {}, and {meant} was meant", job.uid)),
    ))
}

async fn confirmed(
    cluster: &Cluster,
    mut job: ObservedJob,
    changed: bool,
    timeout_seconds: u32,
) -> Result<PatchedJob, Error> {
    let reference = job.reference.clone();
    let until = Instant::now() + Duration::from_secs(timeout_seconds.into());
    let pauses = Pauses::between(FIRST_PAUSE, LONGEST_PAUSE, cluster.next_seed());
    while !acted(&job.job) && timeout_at(until, pauses.turn()).await.is_ok() {
        let Some(now) = find_job_or_error(cluster, &reference.namespace, &reference.name).await? else { break };
        job = now;
        if job.reference.uid != reference.uid {
            return Err(another(&job.reference, &reference.uid));
        }
    }
    let spec = job.job.spec.as_ref();
    Ok(PatchedJob {
        changed,
        confirmed: acted(&job.job),
        finished: conditions::finished(&job.job).is_some(),
        suspended: spec.and_then(|spec| spec.suspend).unwrap_or(false),
        parallelism: spec.and_then(|spec| spec.parallelism),
        active: job.job.status.as_ref().and_then(|status| status.active).unwrap_or(0),
        job: reference,
    })
}

/// Whether the Job controller has acted on `suspend`: its condition `Suspended` says the same, and a suspended Job has no
/// Pod that works. Source: kubernetes `pkg/controller/job/job_controller.go`, `syncJob`.
fn acted(job: &Job) -> bool {
    if conditions::finished(job).is_some() {
        return true;
    }
    let wanted = job.spec.as_ref().and_then(|spec| spec.suspend).unwrap_or(false);
    let status = job.status.as_ref();
    let mut conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
    let is = conditions.any(|condition| condition.type_ == "Suspended" && condition.status == "True");
    let active = status.and_then(|status| status.active).unwrap_or(0);
    wanted == is && (!wanted || active == 0)
}

/// The JSON Patch that lays `body` over the object: nothing for what is already so.
fn changes(object: &Value, body: &Value) -> Vec<Value> {
    let mut changes = Vec::new();
    let wanted = overlay(object.clone(), body.clone());
    if let (Some(object), Some(wanted), Some(body)) = (object.as_object(), wanted.as_object(), body.as_object()) {
        differ("", object, wanted, body, &mut changes);
    }
    changes
}

fn differ(
    path: &str,
    object: &Map<String, Value>,
    wanted: &Map<String, Value>,
    body: &Map<String, Value>,
    changes: &mut Vec<Value>,
) {
    for (field, part) in body {
        let path = format!("{path}/{}", field.replace('~', "~0").replace('/', "~1"));
        match (object.get(field), wanted.get(field), part) {
            (now, then, _) if now == then => {}
            (Some(Value::Object(now)), Some(Value::Object(then)), Value::Object(part)) => {
                differ(&path, now, then, part, changes);
            }
            (now, Some(then), _) => {
                // A list is written as a whole, so nobody may have changed it meanwhile.
                if let Some(list @ Value::Array(_)) = now {
                    changes.push(json!({"op": "test", "path": path, "value": list}));
                }
                changes.push(json!({"op": "add", "path": path, "value": then}));
            }
            (Some(_), None, _) => changes.push(json!({"op": "remove", "path": path})),
            (None, None, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_different_is_written() {
        let job = json!({"metadata": {"name": "a", "labels": {"team": "x"}},
                         "spec": {"suspend": false, "parallelism": 2, "template": {"spec": {"tolerations": [{"key": "a"}]}}}});
        for (body, expected) in [
            (json!({"kind": "Job", "spec": {"suspend": false}}), json!([])),
            (
                json!({"spec": {"suspend": true, "parallelism": 2}}),
                json!([{"op": "add", "path": "/spec/suspend", "value": true}]),
            ),
            (json!({"spec": {"parallelism": 0}}), json!([{"op": "add", "path": "/spec/parallelism", "value": 0}])),
            (
                json!({"metadata": {"labels": {"a/b": "1", "team": null}, "annotations": {"n": "1"}}}),
                json!([{"op": "add", "path": "/metadata/annotations", "value": {"n": "1"}},
                    {"op": "add", "path": "/metadata/labels/a~1b", "value": "1"},
                    {"op": "remove", "path": "/metadata/labels/team"}]),
            ),
            (
                json!({"spec": {"template": {"spec": {"tolerations": []}}}}),
                json!([{"op": "test", "path": "/spec/template/spec/tolerations", "value": [{"key": "a"}]},
                    {"op": "add", "path": "/spec/template/spec/tolerations", "value": []}]),
            ),
        ] {
            let mut found = changes(&job, &body.clone());
            found.retain(|change| change["path"] != "/kind");
            assert_eq!(Value::Array(found), expected, "{body}");
        }
    }

    #[test]
    fn controller_has_acted_once_its_condition_says_the_same_and_nothing_works() {
        let job = |suspend: bool, condition: Option<&str>, active: i32| -> Job {
            let conditions: Vec<Value> =
                condition.iter().map(|status| json!({"type": "Suspended", "status": status})).collect();
            serde_json::from_value(json!({"spec": {"suspend": suspend, "template": {}},
                                          "status": {"conditions": conditions, "active": active}}))
            .unwrap()
        };
        for (suspend, condition, active, has) in [
            (true, None, 1, false),
            (true, Some("True"), 1, false),
            (true, Some("True"), 0, true),
            (false, Some("True"), 0, false),
            (false, Some("False"), 0, true),
            (false, None, 1, true),
        ] {
            assert_eq!(acted(&job(suspend, condition, active)), has, "{suspend} {condition:?} {active}");
        }
        let mut ended = job(true, None, 0);
        ended.status = serde_json::from_value(json!({"conditions": [{"type": "Complete", "status": "True"}]})).unwrap();
        assert!(acted(&ended));
    }

    #[test]
    fn request_that_changes_nothing_is_refused() {
        let read = |body: &Value| PatchRequest::read(&json!({"name": "a", "body": body, "timeout_seconds": 1}));
        assert!(read(&json!({"spec": {"suspend": false}})).is_ok());
        for body in [json!({}), Value::Null, json!([]), json!({"kind": "Job"})] {
            assert_eq!(read(&body).unwrap_err().report().facts["path"], "body", "{body}");
        }
    }
}
