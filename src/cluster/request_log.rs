//! Writes the debug log of requests: one line for each request that is sent, once it is answered, has failed or was
//! given up.
//!
//! Promise: a line has the HTTP method, the path, the status or our own name of the failure, the milliseconds and the
//! number of the try. It never has a body, a header or a parameter that a user or a server wrote. If nobody listens, a
//! line costs one comparison and no allocation.

use std::fmt;

use http::StatusCode;
use tokio::time::Instant;
use tracing::{Level, debug, enabled};

use super::request::{ApiRequest, Failure, Responder};
use crate::resource::Path;

/// The parameters that are shown: their values are constants of ours, numbers, times and names.
const SHOWN: [&str; 10] = [
    "watch",
    "container",
    "follow",
    "previous",
    "sinceTime",
    "limit",
    "resourceVersion",
    "timeoutSeconds",
    "dryRun",
    "verbose",
];

/// A request that is under way.
pub(super) struct Logged<'a> {
    request: &'a ApiRequest,
    nth_try: u32,
    /// When the request began; known only if a line will be written.
    begun: Option<Instant>,
}

impl<'a> Logged<'a> {
    /// Starts the line of a request that is about to be sent.
    pub fn begin(request: &'a ApiRequest) -> Self {
        Self { request, nth_try: request.next_try(), begun: enabled!(Level::DEBUG).then(Instant::now) }
    }

    /// Ends the line with the answer. Without this it says that the request was given up.
    pub fn end<T>(mut self, answer: &Result<(StatusCode, T), Failure>) {
        let Some(begun) = self.begun.take() else { return };
        match answer {
            Ok((status, _)) => self.tell(begun, &status.as_u16()),
            Err(failure) => self.tell(begun, &Named(failure)),
        }
    }

    fn tell(&self, begun: Instant, status: &dyn fmt::Display) {
        let (method, path) = (&self.request.method, shown(&self.request.path));
        let ms = begun.elapsed().as_millis();
        debug!(%status, ms, r#try = self.nth_try, "{method} {path}");
    }
}

impl Drop for Logged<'_> {
    fn drop(&mut self) {
        if let Some(begun) = self.begun.take() {
            self.tell(begun, &"given up before an answer");
        }
    }
}

/// A path with those of its parameters that hold no text of a user.
fn shown(path: &Path) -> String {
    let (path, query) = path.as_str().split_once('?').unwrap_or((path.as_str(), ""));
    let is_shown = |pair: &&str| pair.split_once('=').is_some_and(|(key, _)| SHOWN.contains(&key));
    query.split('&').filter(is_shown).enumerate().fold(path.to_owned(), |mut shown, (index, pair)| {
        shown.push(if index == 0 { '?' } else { '&' });
        shown.push_str(pair);
        shown
    })
}

/// A failure in words that quote no free text of a server.
pub(super) struct Named<'a>(pub &'a Failure);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Failure::Status { status, responder: Responder::ApiServer, .. } => write!(f, "{}", status.code),
            Failure::Status { status, responder: Responder::Unknown, .. } => {
                write!(f, "{}, perhaps not of the API server", status.code)
            }
            Failure::Transport { cause } => cause.fmt(f),
            Failure::Unexpected { why, .. } => write!(f, "an answer that cannot be read: {why}"),
            Failure::Unusable(_) => f.write_str("the configuration leads to no client"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        identity::Namespace,
        resource::{Resource, Selector},
    };

    #[test]
    fn what_a_user_or_a_server_wrote_is_not_shown_of_a_query() {
        let namespace: Namespace = "etl".parse().unwrap();
        let selector = Selector { labels: "password=hunter2".into(), fields: "metadata.name=hunter2".into() };
        let path = Path::collection(Resource::Jobs, &namespace).with("watch", "true").selected(&selector);
        let path = path.with("continue", "hunter2").with("resourceVersion", "7");
        assert_eq!(shown(&path), "/apis/batch/v1/namespaces/etl/jobs?watch=true&resourceVersion=7");
        assert_eq!(shown(&Path::collection(Resource::Pods, &namespace)), "/api/v1/namespaces/etl/pods");
    }

    #[test]
    fn message_of_a_server_is_not_part_of_the_name_of_a_failure() {
        let failure = Failure::status(403, "Forbidden", "hunter2", None);
        assert_eq!(Named(&failure).to_string(), "403");
        assert_eq!(Named(&Failure::transport("reset")).to_string(), "reset");
    }
}
