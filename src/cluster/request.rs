//! Sends one request and reads its answer or failure. It never retries.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::{
    Client,
    client::Body,
    core::{Status, response::StatusSummary},
};
use serde::de::DeserializeOwned;
use serde_json::{Value, error::Category};

use super::{answer, cause::Cause, clock::ServerClock, warnings::AnswerWarnings};
use crate::resource::Resource;
use crate::resource::Verb;
use crate::{
    error::{Error, Report},
    resource::Path,
    unreadable::Unreadable,
};

/// The largest answer that is read; the API server's own limit for one object is 3 MiB.
const LARGEST_ANSWER: usize = 64 << 20;
/// At most this many bytes of a failing answer are read; a `Status` has a few hundred.
const LARGEST_REFUSAL: usize = 64 << 10;
/// The body of a failing answer may take this long, because its code alone says enough.
const REFUSAL_WITHIN: Duration = Duration::from_secs(5);

/// The sender of a failing answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Responder {
    /// The API server: the answer is a `Status` that says what its HTTP code says.
    ApiServer,
    /// Perhaps a proxy or a gateway: whether the request had an effect is unknown.
    Unknown,
}

/// Why a request has no good answer.
#[derive(Debug, Clone)]
pub enum Failure {
    /// The API server answered with a `Status`.
    Status {
        /// The answer, with its HTTP code.
        status: Box<Status>,
        /// The sender of the answer.
        responder: Responder,
        /// The header `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// There is no whole answer: whether the request had an effect is unknown.
    Transport {
        /// The cause, in our own words.
        cause: Cause,
    },
    /// The whole answer is not what was asked for: whether the request had an effect is unknown.
    Unexpected {
        /// The kind that was asked for, with its article.
        instead_of: String,
        /// What is wrong with the answer.
        why: String,
    },
    /// No client can be built from the configuration.
    Unusable(Error),
}

/// A whole, good answer.
pub type Answer = Value;

impl Failure {
    /// A `Status` answer of the API server.
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
        Self::Status { status: Box::new(status), responder: Responder::ApiServer, retry_after }
    }

    /// Whether the API server says that the object does not exist. A 404 of another sender proves nothing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status, responder: Responder::ApiServer, .. } if status.code == 404)
    }

    /// The API server does not let us.
    #[must_use]
    pub fn is_forbidden(&self) -> bool {
        self.is_refusal() && self.code() == Some(403)
    }

    /// The API server does not let us, or knows nothing under that path. Asking again helps only where somebody changes that.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        let Self::Status { status, responder: Responder::ApiServer, .. } = self else { return false };
        matches!(status.code, 401 | 403 | 404)
    }

    /// A failure of a connection.
    #[must_use]
    pub fn transport(cause: impl Into<Cause>) -> Self {
        Self::Transport { cause: cause.into() }
    }

    /// The HTTP code of the answer, if there was one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(status.code),
            Self::Transport { .. } | Self::Unexpected { .. } | Self::Unusable(_) => None,
        }
    }

    /// The answer's `reason`, empty if there was none.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Status { status, .. } => &status.reason,
            Self::Transport { .. } | Self::Unexpected { .. } | Self::Unusable(_) => "",
        }
    }

    /// The server's message, or the cause.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::Status { status, .. } if status.message.is_empty() => format!("HTTP {}", status.code),
            Self::Status { status, .. } => status.message.clone(),
            Self::Transport { cause } => cause.to_string(),
            Self::Unexpected { instead_of, why } => format!("answered with something that is not {instead_of}: {why}"),
            Self::Unusable(error) => error.report().message.clone(),
        }
    }

    /// How long the server asks the client to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            Self::Transport { .. } | Self::Unexpected { .. } | Self::Unusable(_) => None,
        }
    }

    /// Whether any cause in the answer has this reason.
    #[must_use]
    pub fn has_cause(&self, reason: &str) -> bool {
        match self {
            Self::Status { status, .. } => {
                status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == reason)
            }
            Self::Transport { .. } | Self::Unexpected { .. } | Self::Unusable(_) => false,
        }
    }

    /// The crate's error. `what` names the operation and the object ("create Job `etl/x`"); `limit` says how long the
    /// request was tried, if more than once.
    #[must_use]
    pub fn into_error(self, what: &str, verb: Verb, resource: Resource, limit: Option<Duration>) -> Error {
        match self {
            Self::Unusable(error) => error,
            Self::Transport { cause } => {
                let happened = format!("Cannot {what}: the API server did not answer");
                let mut report = Report::new(happened).seen(cause.to_string());
                if let Some(limit) = limit {
                    report = report.seen(format!("tried again for {} s", limit.as_secs()));
                }
                Error::ApiUnreachable(Box::new(report.hint(CHECK_ADDRESS)))
            }
            Self::Unexpected { instead_of, why } => {
                let happened =
                    format!("Cannot {what}: the API server answered with something that is not {instead_of}");
                let mut report = Report::new(happened).seen(why);
                if let Some(limit) = limit {
                    report = report.seen(format!("tried again for {} s", limit.as_secs()));
                }
                Error::ApiUnreachable(Box::new(report.hint(CHECK_WHO_ANSWERS)))
            }
            Self::Status { status, responder, .. } => refused(&status, responder, what, verb, resource, limit),
        }
    }
}

const CHECK_ADDRESS: &str = "check that the API server can be reached from here (`kubectl get --raw=/readyz`)";
const CHECK_WHO_ANSWERS: &str = "check that the address of the kubeconfig is that of a Kubernetes API server, and what \
                                 stands before it: `kubectl get --raw=/version`";

fn refused(
    status: &Status,
    responder: Responder,
    what: &str,
    verb: Verb,
    resource: Resource,
    limit: Option<Duration>,
) -> Error {
    let message = if status.message.is_empty() { "no message" } else { &status.message };
    let mut seen = format!("{}: {message}", format!("{} {}", status.code, status.reason).trim_end());
    if let Some(details) = &status.details {
        // The message repeats the causes, shortened, so only the others are listed.
        for cause in details.causes.iter().filter(|cause| !message.contains(&cause.message)) {
            let _ = write!(seen, "; {} {}", cause.field, cause.message);
        }
    }
    let happened = match responder {
        Responder::ApiServer => "refused by the API server",
        Responder::Unknown => "the answer is not one that an API server gives",
    };
    let report = Report::new(format!("Cannot {what}: {happened}"))
        .seen(seen)
        .fact("status", status.code)
        .fact("reason", status.reason.clone());
    let may_pass = super::retry::is_transient(status.code) || message.contains("exceeded quota");
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
        _ if responder == Responder::Unknown => Some(CHECK_WHO_ANSWERS.to_owned()),
        _ => None,
    };
    let report = match hint {
        Some(hint) => report.hint(hint),
        None => report,
    };
    let no_answer_of_its_own = responder == Responder::Unknown && !(400..500).contains(&status.code);
    if no_answer_of_its_own || matches!(status.code, 500 | 502..=504 | 429) {
        Error::ApiUnreachable(Box::new(report))
    } else {
        Error::ApiRefused(Box::new(report))
    }
}

/// The least that every answer must be.
const CAN_BE_READ: &str = "an answer of Kubernetes";

/// One request, which may be sent several times.
pub(super) struct ApiRequest {
    /// The HTTP method.
    pub method: Method,
    /// The path of the request.
    pub path: Path,
    content_type: &'static str,
    body: Vec<u8>,
    /// How often it was sent.
    sent: AtomicU32,
}

const JSON: &str = "application/json";
const JSON_PATCH: &str = "application/json-patch+json";

impl ApiRequest {
    /// A GET.
    pub fn get(path: Path) -> Self {
        Self::with(Method::GET, path, JSON, Vec::new())
    }

    /// A POST.
    pub fn post(path: Path, body: Vec<u8>) -> Self {
        Self::with(Method::POST, path, JSON, body)
    }

    /// A PATCH with a JSON Patch.
    pub fn patch(path: Path, changes: &Value) -> Self {
        Self::with(Method::PATCH, path, JSON_PATCH, changes.to_string().into_bytes())
    }

    /// A DELETE with `DeleteOptions`.
    pub fn delete(path: Path, options: &Value) -> Self {
        Self::with(Method::DELETE, path, JSON, options.to_string().into_bytes())
    }

    fn with(method: Method, path: Path, content_type: &'static str, body: Vec<u8>) -> Self {
        Self { method, path, content_type, body, sent: AtomicU32::new(0) }
    }

    /// Counts one more sending, and returns the number from 1.
    pub fn next_try(&self) -> u32 {
        self.sent.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Builds the HTTP request.
    pub fn build(&self) -> Result<Request<Body>, Failure> {
        Request::builder()
            .method(self.method.clone())
            .uri(self.path.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, self.content_type)
            .body(Body::from(self.body.clone()))
            .map_err(|_| {
                let path = self.path.as_str().split('?').next().unwrap_or_default();
                Failure::Unusable(Error::internal(format!("the request for `{path}` is not HTTP")))
            })
    }
}

/// The readers of the headers of every answer, also of a failing one.
pub(super) struct HeaderReaders {
    pub clock: Arc<ServerClock>,
    pub warnings: Option<Arc<AnswerWarnings>>,
}

impl HeaderReaders {
    fn read(&self, headers: &HeaderMap) {
        self.clock.hear(headers);
        if let Some(warnings) = &self.warnings {
            warnings.hear(headers);
        }
    }
}

/// Sends once and reads the whole answer; returns it with its code.
pub(super) async fn send<T: DeserializeOwned>(
    client: &Client,
    request: Request<Body>,
    readers: &HeaderReaders,
) -> Result<(StatusCode, T), Failure> {
    let (code, response) = open(client, request, readers).await?;
    let body = collect(response.into_body()).await?;
    let read = serde_json::from_slice(&body).map_err(|error| match error.classify() {
        Category::Eof if !body.is_empty() => Failure::transport("the answer was cut"),
        _ => Failure::Unexpected { instead_of: CAN_BE_READ.to_owned(), why: Unreadable::json(&error).to_string() },
    });
    read.map(|answer| (code, answer))
}

/// Sends once and leaves the body to the caller; returns it with its code. Answers with failing codes are read as
/// `Status`.
pub(super) async fn open(
    client: &Client,
    request: Request<Body>,
    readers: &HeaderReaders,
) -> Result<(StatusCode, Response<Body>), Failure> {
    let response = client.send(request).await.map_err(|error| Failure::transport(Cause::of(&error)))?;
    readers.read(response.headers());
    let code = response.status();
    if code.is_success() {
        return Ok((code, response));
    }
    let (retry_after, headers) = (retry_after(response.headers()), response.headers().clone());
    let body = beginning(response.into_body()).await;
    let (status, responder) = answer::refusal(code, &headers, &body);
    Err(Failure::Status { status, responder, retry_after })
}

async fn collect(body: Body) -> Result<bytes::Bytes, Failure> {
    let limited = Limited::new(body, LARGEST_ANSWER);
    match limited.collect().await {
        Ok(whole) => Ok(whole.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Failure::Unexpected {
            instead_of: CAN_BE_READ.to_owned(),
            why: format!("it is larger than {} MiB", LARGEST_ANSWER >> 20),
        }),
        Err(error) => Err(Failure::transport(Cause::of(error.as_ref()))),
    }
}

/// Reads the body of a failing answer. If the body does not end, or breaks off, the part that has come is enough.
async fn beginning(body: Body) -> Vec<u8> {
    let mut said = Vec::new();
    let reading = async {
        let mut chunks = body.into_data_stream();
        while let Some(Ok(chunk)) = chunks.next().await {
            let room = LARGEST_REFUSAL - said.len();
            said.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if said.len() == LARGEST_REFUSAL {
                break;
            }
        }
    };
    // It makes no difference whether the whole body came.
    let _ = tokio::time::timeout(REFUSAL_WITHIN, reading).await;
    said
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
