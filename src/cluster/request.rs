//! One request and what came of it: verbs, resources, answers, failures. No retry here.

use std::{fmt::Write as _, time::Duration};

use http::{HeaderMap, Method, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use kube::{
    Client,
    client::Body,
    core::{Status, response::StatusSummary},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::clock::ServerClock;
use crate::error::{Error, Report, cause_chain};

/// An answer larger than this is refused; the API server's own limit for one object is 3 MiB.
const LARGEST_ANSWER: usize = 64 << 20;

/// What is asked of the API server, by the names of its RBAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Read one object.
    Get,
    /// Read many.
    List,
    /// Follow changes.
    Watch,
    /// POST.
    Create,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// GET of the subresource `log`.
    Log,
}

impl Verb {
    /// As RBAC spells it.
    #[must_use]
    pub fn rbac(self) -> &'static str {
        match self {
            Self::Get | Self::Log => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// The kinds of object this crate asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Resource {
    /// `jobs.batch`
    Jobs,
    /// `pods`
    Pods,
    /// `events`
    Events,
    /// `nodes`, which have no namespace.
    Nodes,
    /// `namespaces`, which have none, either.
    Namespaces,
    /// `selfsubjectreviews.authentication.k8s.io`: who am I?
    SelfSubjectReviews,
    /// `selfsubjectaccessreviews.authorization.k8s.io`: may I?
    SelfSubjectAccessReviews,
}

impl Resource {
    /// The path of the collection in a namespace; of that in all namespaces for an empty name, as in Kubernetes' own
    /// clients.
    #[must_use]
    pub fn path(self, namespace: &str) -> String {
        let place = if namespace.is_empty() { String::new() } else { format!("/namespaces/{namespace}") };
        match self {
            Self::Jobs => format!("/apis/batch/v1{place}/jobs"),
            Self::Pods => format!("/api/v1{place}/pods"),
            Self::Events => format!("/api/v1{place}/events"),
            Self::Nodes => "/api/v1/nodes".into(),
            Self::Namespaces => "/api/v1/namespaces".into(),
            Self::SelfSubjectReviews => "/apis/authentication.k8s.io/v1/selfsubjectreviews".into(),
            Self::SelfSubjectAccessReviews => "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews".into(),
        }
    }

    /// As RBAC and error texts spell it.
    #[must_use]
    pub fn rbac(self) -> &'static str {
        match self {
            Self::Jobs => "jobs.batch",
            Self::Pods => "pods",
            Self::Events => "events",
            Self::Nodes => "nodes",
            Self::Namespaces => "namespaces",
            Self::SelfSubjectReviews => "selfsubjectreviews.authentication.k8s.io",
            Self::SelfSubjectAccessReviews => "selfsubjectaccessreviews.authorization.k8s.io",
        }
    }
}

/// Why a request has no good answer.
#[derive(Debug, Clone)]
pub enum Failure {
    /// The API server answered with a `Status`.
    Status {
        /// The answer, with its HTTP code.
        status: Box<Status>,
        /// The header of that name.
        retry_after: Option<Duration>,
    },
    /// No whole answer: whether the request had an effect is unknown.
    Transport {
        /// The chain of causes.
        cause: String,
    },
    /// The configuration does not lead to a client.
    Unusable(Error),
}

/// A whole, good answer.
pub type Answer = Value;

impl Failure {
    /// A `Status` answer.
    #[must_use]
    pub fn status(code: u16, reason: &str, message: &str, retry_after: Option<Duration>) -> Self {
        let status = Status {
            status: Some(StatusSummary::Failure),
            code,
            message: message.to_owned(),
            reason: reason.to_owned(),
            metadata: None,
            details: None,
        };
        Self::Status { status: Box::new(status), retry_after }
    }

    /// A connection that failed.
    #[must_use]
    pub fn transport(cause: impl Into<String>) -> Self {
        Self::Transport { cause: cause.into() }
    }

    /// The HTTP code of the answer, if there was one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(status.code),
            Self::Transport { .. } | Self::Unusable(_) => None,
        }
    }

    /// The answer's `reason`, empty if there was none.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Status { status, .. } => &status.reason,
            Self::Transport { .. } | Self::Unusable(_) => "",
        }
    }

    /// The server's message, or the cause.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Status { status, .. } if status.message.is_empty() => format!("HTTP {}", status.code),
            Self::Status { status, .. } => status.message.clone(),
            Self::Transport { cause } => cause.clone(),
            Self::Unusable(error) => error.report().message.clone(),
        }
    }

    /// How long the server asks us to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Transport { .. } | Self::Unusable(_) => None,
        }
    }

    /// Whether any cause in the answer has this reason.
    #[must_use]
    pub fn has_cause(&self, reason: &str) -> bool {
        match self {
            Self::Status { status, .. } => {
                status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == reason)
            }
            Self::Transport { .. } | Self::Unusable(_) => false,
        }
    }

    /// The crate's error: `what` names the operation and the object ("create Job `etl/x`"), `limit` says how
    /// long it was tried where that was more than once.
    #[must_use]
    pub fn into_error(self, what: &str, verb: Verb, resource: Resource, limit: Option<Duration>) -> Error {
        match self {
            Self::Unusable(error) => error,
            Self::Transport { cause } => {
                let mut report = Report::new(format!("Cannot {what}: the API server did not answer")).seen(cause);
                if let Some(limit) = limit {
                    report = report.seen(format!("tried again for {} s", limit.as_secs()));
                }
                Error::ApiUnreachable(Box::new(
                    report.hint("check that the API server can be reached from here (`kubectl get --raw=/readyz`)"),
                ))
            }
            Self::Status { status, .. } => refused(&status, what, verb, resource, limit),
        }
    }
}

fn refused(status: &Status, what: &str, verb: Verb, resource: Resource, limit: Option<Duration>) -> Error {
    let message = if status.message.is_empty() { "no message" } else { &status.message };
    let mut seen = format!("{} {}: {message}", status.code, status.reason);
    if let Some(details) = &status.details {
        // The message repeats the causes, shortened; list them only where it does not.
        for cause in details.causes.iter().filter(|cause| !message.contains(&cause.message)) {
            let _ = write!(seen, "; {} {}", cause.field, cause.message);
        }
    }
    let report = Report::new(format!("Cannot {what}: refused by the API server"))
        .seen(seen)
        .fact("status", status.code)
        .fact("reason", status.reason.clone());
    let may_pass = super::retry::TRANSIENT.contains(&status.code) || message.contains("exceeded quota");
    let report = match (limit, may_pass) {
        (Some(limit), true) => report.seen(format!("tried again for {} s", limit.as_secs())),
        _ => report,
    };
    let subresource = if verb == Verb::Log { "/log" } else { "" };
    let hint = match status.code {
        401 => Some(
            "the credentials were refused, also after they were read anew: check the kubeconfig or token".to_owned(),
        ),
        403 if message.contains("exceeded quota") => {
            Some("wait until other objects of the namespace have ended, or ask for a larger ResourceQuota".to_owned())
        }
        403 if status.reason == "Forbidden" && !message.contains("admission") => Some(format!(
            "allow it: verb `{}` on `{}{subresource}` in this namespace (see docs/rbac.yaml)",
            verb.rbac(),
            resource.rbac()
        )),
        413 => Some("make the manifest smaller: put data into a ConfigMap, a volume or the image".to_owned()),
        422 | 400 => Some("correct the field named above in the operator's arguments or its manifest".to_owned()),
        500 if message.contains("webhook") => {
            Some("the admission webhook named above does not work: its owner has to repair or remove it".to_owned())
        }
        _ => None,
    };
    let report = match hint {
        Some(hint) => report.hint(hint),
        None => report,
    };
    if matches!(status.code, 500 | 502..=504 | 429) {
        Error::ApiUnreachable(Box::new(report))
    } else {
        Error::ApiRefused(Box::new(report))
    }
}

/// Builds the request of a verb.
pub(super) fn build(
    method: Method,
    path_and_query: &str,
    content_type: &'static str,
    body: Vec<u8>,
) -> Result<Request<Body>, Failure> {
    Request::builder()
        .method(method)
        .uri(path_and_query)
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, content_type)
        .body(Body::from(body))
        .map_err(|error| Failure::Unusable(Error::internal(format!("request `{path_and_query}`: {error}"))))
}

/// Sends once and reads the whole answer.
pub(super) async fn send<T: DeserializeOwned>(
    client: &Client,
    request: Request<Body>,
    clock: &ServerClock,
) -> Result<T, Failure> {
    let response = open(client, request, clock).await?;
    let body = collect(response.into_body()).await?;
    serde_json::from_slice(&body).map_err(|error| Failure::transport(format!("the answer cannot be read: {error}")))
}

/// Sends once and leaves the body to the caller; failing codes are read as `Status`.
pub(super) async fn open(
    client: &Client,
    request: Request<Body>,
    clock: &ServerClock,
) -> Result<Response<Body>, Failure> {
    let response = client.send(request).await.map_err(|error| Failure::transport(cause_chain(&error)))?;
    clock.hear(response.headers());
    let code = response.status();
    if code.is_success() {
        return Ok(response);
    }
    let retry_after = retry_after(response.headers());
    let body = collect(response.into_body()).await?;
    let status =
        serde_json::from_slice::<Status>(&body).ok().filter(|status| status.code != 0 || !status.message.is_empty());
    let mut status = status.unwrap_or_else(|| Status {
        message: String::from_utf8_lossy(&body).chars().take(500).collect(),
        ..Status::default()
    });
    status.code = code.as_u16();
    Err(Failure::Status { status: Box::new(status), retry_after })
}

async fn collect(body: Body) -> Result<bytes::Bytes, Failure> {
    let limited = Limited::new(body, LARGEST_ANSWER);
    match limited.collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) => Err(Failure::transport(cause_chain(error.as_ref()))),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
