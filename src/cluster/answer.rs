//! Decides what counts as an answer. Pure.
//!
//! Promise: an object is the one that was asked for, by kind, namespace and name, and it has a uid; a list is one of
//! that kind; a refusal is the API server's own only if it is a `Status` that says what its HTTP code says. Anything
//! else is a failed answer. It proves neither that an object is gone, nor that one was made, nor that there are none.
//! Sources: `metav1.Status` in kubernetes `apimachinery/pkg/apis/meta/v1/types.go`, and `ErrorNegotiated` in
//! `apiserver/pkg/endpoints/handlers/responsewriters`, which writes one for every error.

use http::{HeaderMap, StatusCode, Uri, header};
use kube::core::Status;
use serde::Deserialize;
use serde_json::Value;

use super::request::{Failure, Responder};
use crate::resource::{Object, Resource, Review};

/// At most this many characters of a text in an answer are kept.
const LONGEST_TEXT: usize = 2_000;
/// The same for a text that names fields, at most 100 in an answer: a person who has to correct them wants to see all.
const LONGEST_LIST: usize = 20_000;
/// The same for a body that is no `Status`.
const LONGEST_BODY: usize = 500;
/// At most this many causes of a refusal are kept.
const MOST_CAUSES: usize = 20;

/// Checks that the answer is the object that was asked for.
pub(super) fn object(asked: Object<'_>, answer: Value) -> Result<Value, Failure> {
    match fault(asked, &answer) {
        None => Ok(answer),
        Some(why) => Err(not_the(asked.resource(), why)),
    }
}

/// Checks the answer to a DELETE: a `Status`, or the object that is being deleted.
pub(super) fn deletion(asked: Object<'_>, answer: Value) -> Result<Value, Failure> {
    if answer["kind"] == "Status" && answer["status"] == "Success" { Ok(answer) } else { object(asked, answer) }
}

/// Checks the answer to a review.
pub(super) fn review(asked: Review, answer: Value) -> Result<Value, Failure> {
    match kind_fault(asked.resource(), &answer) {
        None => Ok(answer),
        Some(why) => Err(not_the(asked.resource(), why)),
    }
}

/// Checks that the answer says which Workloads wait in a queue of Kueue.
pub(super) fn pending_workloads(answer: Value) -> Result<Value, Failure> {
    let why = match answer["kind"].as_str() {
        Some("PendingWorkloadsSummary") => return Ok(answer),
        Some(kind) => format!("its kind is `{}`", shown(kind)),
        None => "it names no kind".to_owned(),
    };
    Err(Failure::Unexpected { instead_of: "a PendingWorkloadsSummary".to_owned(), why })
}

/// Checks that the answer is a list of the kind that was asked for.
pub(super) fn list(resource: Resource, kind: &str) -> Result<(), Failure> {
    if kind.strip_suffix("List") == Some(resource.kind()) {
        return Ok(());
    }
    let why = if kind.is_empty() { "it names no kind".to_owned() } else { format!("its kind is `{}`", shown(kind)) };
    Err(Failure::Unexpected { instead_of: format!("a list of {}", resource.rbac()), why })
}

/// Checks that an event of a watch has an object of the kind that was asked for.
pub(super) fn watched(resource: Resource, object: &Value) -> Result<(), Failure> {
    match kind_fault(resource, object).or_else(|| identity_fault(object)) {
        None => Ok(()),
        Some(why) => Err(not_the(resource, why)),
    }
}

fn not_the(resource: Resource, why: String) -> Failure {
    Failure::Unexpected { instead_of: format!("a {}", resource.kind()), why }
}

fn fault(asked: Object<'_>, answer: &Value) -> Option<String> {
    kind_fault(asked.resource(), answer).or_else(|| identity_fault(answer)).or_else(|| {
        let metadata = &answer["metadata"];
        let is = |key: &str, wanted: &str| metadata[key].as_str() == Some(wanted);
        let other = |key: &str| Some(format!("its {key} is `{}`", shown(metadata[key].as_str().unwrap_or_default())));
        match asked.namespace() {
            _ if !is("name", asked.name()) => other("name"),
            Some(namespace) if !is("namespace", namespace.as_str()) => other("namespace"),
            Some(_) | None => None,
        }
    })
}

fn kind_fault(resource: Resource, answer: &Value) -> Option<String> {
    match answer["kind"].as_str() {
        _ if !answer.is_object() => Some("it is no object".to_owned()),
        None => Some("it names no kind".to_owned()),
        Some(kind) if kind != resource.kind() => Some(format!("its kind is `{}`", shown(kind))),
        Some(_) => None,
    }
}

fn identity_fault(answer: &Value) -> Option<String> {
    let missing = |key: &str| answer["metadata"][key].as_str().is_none_or(str::is_empty);
    ["name", "uid"].into_iter().find(|key| missing(key)).map(|key| format!("it has no {key}"))
}

fn shown(text: &str) -> String {
    cut(&text.escape_debug().to_string(), 100)
}

/// Reads a failing answer: the API server's own words, or the beginning of the text that came instead.
pub(super) fn refusal(code: StatusCode, headers: &HeaderMap, body: &[u8]) -> (Box<Status>, Responder) {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(default)]
        kind: String,
        #[serde(default)]
        status: String,
    }
    let kind = serde_json::from_slice::<Kind>(body).ok().filter(|body| body.kind == "Status");
    let status = serde_json::from_slice::<Status>(body).ok();
    let own = kind.zip(status.clone()).is_some_and(|(kind, status)| {
        kind.status == "Failure" && status.code == code.as_u16() && !status.reason.is_empty()
    });
    let said = status.filter(|status| status.code != 0 || !status.message.is_empty());
    let mut status = said
        .unwrap_or_else(|| Status { message: cut(&String::from_utf8_lossy(body), LONGEST_BODY), ..Status::default() });
    if code.is_redirection() && !own {
        status.message = leads_to(headers);
    }
    status.code = code.as_u16();
    (Box::new(sane(status)), if own { Responder::ApiServer } else { Responder::Unknown })
}

/// Cuts the texts of a `Status` to a length that a person can read.
pub(super) fn sane(mut status: Status) -> Status {
    let names_fields = status.message.contains("strict decoding error: ");
    status.message = cut(&status.message, if names_fields { LONGEST_LIST } else { LONGEST_TEXT });
    status.reason = cut(&status.reason, LONGEST_BODY);
    if let Some(details) = &mut status.details {
        details.causes.truncate(MOST_CAUSES);
        for cause in &mut details.causes {
            cause.message = cut(&cause.message, LONGEST_BODY);
            cause.field = cut(&cause.field, LONGEST_BODY);
        }
    }
    status
}

/// The host that a redirect leads to. Nothing else of it is shown, because paths, queries and user names may hold
/// credentials.
fn leads_to(headers: &HeaderMap) -> String {
    let location = headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
    let Some(location) = location else { return "a redirect that does not say where to".to_owned() };
    match location.parse::<Uri>().ok().as_ref().and_then(Uri::host) {
        Some(host) => format!("a redirect to the host `{}`, which is not followed", shown(host)),
        None => "a redirect to another path of the same host, which is not followed".to_owned(),
    }
}

/// Cuts a text that is too long.
fn cut(text: &str, longest: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(longest) else { return text.to_owned() };
    let left = text[end..].chars().count();
    format!("{}... (cut, {left} more characters)", &text[..end])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job() -> Value {
        json!({"kind": "Job", "apiVersion": "batch/v1", "metadata": {"namespace": "etl", "name": "train", "uid": "u-1"}})
    }

    fn changed(change: &Value) -> Value {
        let mut changed = job();
        json_patch::merge(&mut changed, change);
        changed
    }

    #[test]
    fn object_counts_only_if_it_is_the_one_that_was_asked_for() {
        let (namespace, name) = ("etl".parse().unwrap(), "train".parse().unwrap());
        let asked = Object::Job(&namespace, &name);
        assert!(object(asked, job()).is_ok());
        let cases = [
            (json!({}), "it names no kind"),
            (json!([]), "it is no object"),
            (json!("Job"), "it is no object"),
            (json!({"kind": "PodList", "items": []}), "its kind is `PodList`"),
            (json!({"kind": "Status", "status": "Success"}), "its kind is `Status`"),
            (changed(&json!({"metadata": {"uid": null}})), "it has no uid"),
            (changed(&json!({"metadata": {"uid": ""}})), "it has no uid"),
            (changed(&json!({"metadata": {"name": "other"}})), "its name is `other`"),
            (changed(&json!({"metadata": {"namespace": "prod"}})), "its namespace is `prod`"),
        ];
        for (answer, why) in cases {
            let failure = object(asked, answer.clone()).unwrap_err();
            assert!(matches!(&failure, Failure::Unexpected { instead_of, .. } if instead_of == "a Job"), "{answer}");
            assert!(failure.message().contains(why), "{answer}: {}", failure.message());
            assert!(deletion(asked, json!({"kind": "Status", "status": "Success"})).is_ok());
        }
        assert!(deletion(asked, json!({"kind": "Status", "status": "Failure"})).is_err());
        assert!(deletion(asked, json!({})).is_err());
    }

    #[test]
    fn list_counts_only_if_it_is_of_the_kind() {
        assert!(list(Resource::Jobs, "JobList").is_ok());
        for kind in ["", "List", "Job", "PodList", "Status"] {
            assert!(list(Resource::Jobs, kind).is_err(), "{kind}");
        }
    }

    #[test]
    fn refusal_is_the_api_servers_only_if_it_says_what_its_code_says() {
        let status =
            json!({"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no"});
        let with = |change: Value| {
            let mut changed = status.clone();
            json_patch::merge(&mut changed, &change);
            changed.to_string()
        };
        let cases = [
            (403, with(json!({})), Responder::ApiServer),
            (401, with(json!({})), Responder::Unknown),
            (403, with(json!({"kind": null})), Responder::Unknown),
            (403, with(json!({"status": "Success"})), Responder::Unknown),
            (403, with(json!({"reason": ""})), Responder::Unknown),
            (403, "<html>blocked</html>".to_owned(), Responder::Unknown),
            (403, String::new(), Responder::Unknown),
        ];
        for (code, body, expected) in cases {
            let code = StatusCode::from_u16(code).unwrap();
            assert_eq!(refusal(code, &HeaderMap::new(), body.as_bytes()).1, expected, "{code} {body}");
        }
    }

    #[test]
    fn redirect_is_told_by_its_host_alone() {
        for (location, words) in [
            (Some("https://alice:secret@login.example/next?token=secret"), "host `login.example`"),
            (Some("/login?token=secret"), "another path of the same host"),
            (None, "does not say where to"),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(location) = location {
                headers.insert(header::LOCATION, location.parse().unwrap());
            }
            let (status, responder) = refusal(StatusCode::FOUND, &headers, b"secret");
            assert_eq!(responder, Responder::Unknown);
            assert!(status.message.contains(words), "{}", status.message);
            assert!(!status.message.contains("secret") && !status.message.contains("alice"), "{}", status.message);
        }
    }

    #[test]
    fn long_texts_are_cut_and_say_so() {
        let long = "ä".repeat(5_000);
        let body =
            json!({"kind": "Status", "status": "Failure", "code": 500, "reason": "InternalError", "message": long});
        let (status, _) = refusal(StatusCode::INTERNAL_SERVER_ERROR, &HeaderMap::new(), body.to_string().as_bytes());
        assert!(status.message.ends_with("... (cut, 3000 more characters)"), "{}", status.message.len());
        assert_eq!(cut("short", 5), "short");
    }
}
