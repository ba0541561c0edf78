//! A watch that does not end by itself: resumes at its version, relists after 410, notices a dead link.
//!
//! Promise: every change after the start is seen, in order, or a whole list takes its place
//! ([`WatchEvent::Relisted`]); nothing is concluded from silence. It asks for bookmarks and ends a stream that
//! brought nothing for 15 s beyond the time the server was asked to keep it, so that a half-open link heals.
//! Cost while waiting: one request per [`super::Timing::watch_for`].

use std::{fmt::Write as _, time::Duration};

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use kube::{client::Body, core::Status};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio_util::{
    codec::{FramedRead, LinesCodec},
    io::StreamReader,
};

use super::{
    Cluster,
    request::{Failure, Resource},
    retry,
};

/// The longest line of a watch: an object of at most 3 MiB, escaped.
const LONGEST_LINE: usize = 16 << 20;
/// A server ends a watch within a little more than the time asked for; after this much more the link is dead.
const DEAD_AFTER: Duration = Duration::from_secs(15);

/// Which objects: by label or by field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// `labelSelector`, empty for all.
    pub labels: String,
    /// `fieldSelector`, empty for all.
    pub fields: String,
}

impl Selector {
    /// By labels.
    #[must_use]
    pub fn labels(labels: impl Into<String>) -> Self {
        Self { labels: labels.into(), fields: String::new() }
    }

    /// By fields.
    #[must_use]
    pub fn fields(fields: impl Into<String>) -> Self {
        Self { labels: String::new(), fields: fields.into() }
    }

    pub(super) fn query(&self) -> String {
        let mut query = String::new();
        for (key, value) in [("labelSelector", &self.labels), ("fieldSelector", &self.fields)] {
            if !value.is_empty() {
                let _ = write!(query, "&{key}={}", encoded(value));
            }
        }
        query
    }
}

/// Percent-encodes everything that a query does not carry as it is.
pub(super) fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Where a watch begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// After a whole list.
    List,
    /// At a version that an earlier answer named.
    Version(String),
}

/// What a watch tells.
#[derive(Debug, Clone)]
pub enum WatchEvent<T = Value> {
    /// The whole present state, after the start or a gap. What is missing here may be gone: look.
    Relisted(Vec<T>),
    /// An object was made or changed.
    Applied(T),
    /// An object left the watch: deleted, or its labels changed. Carries its last state.
    Deleted(T),
    /// The stream is open, for the first time or again after [`WatchEvent::Interrupted`].
    Opened,
    /// The stream or its resumption failed; it is tried again until it works. 401 and 403 come so, too.
    Interrupted(Failure),
}

/// What a frame's object is told as; bookmarks are not.
type Told<T> = fn(T) -> Option<WatchEvent<T>>;

#[derive(Deserialize)]
#[serde(tag = "type", content = "object", rename_all = "UPPERCASE")]
enum Frame {
    Added(Value),
    Modified(Value),
    Deleted(Value),
    Bookmark(Value),
    Error(Box<Status>),
}

/// Follows a collection of a namespace without end.
pub fn watch(
    cluster: Cluster,
    resource: Resource,
    namespace: String,
    selector: Selector,
    start: Start,
) -> impl Stream<Item = WatchEvent> + Send + 'static {
    watch_as(cluster, resource, namespace, selector, start, |object| object)
}

/// The same for those who keep little of each object: `read` takes one at a time, also out of a list.
pub fn watch_as<T: Send + 'static>(
    cluster: Cluster,
    resource: Resource,
    namespace: String,
    selector: Selector,
    start: Start,
    read: impl Fn(Value) -> T + Send + Sync + 'static,
) -> impl Stream<Item = WatchEvent<T>> + Send + 'static {
    async_stream::stream! {
        let mut version = match start {
            Start::List => None,
            Start::Version(version) => Some(version),
        };
        let mut pauses = retry::backoff(cluster.next_seed(), None);
        let mut closed = true;
        loop {
            let from = match version.take() {
                Some(from) => from,
                None => match list(&cluster, resource, &namespace, &selector, &read).await {
                    Ok((objects, from)) => {
                        yield WatchEvent::Relisted(objects);
                        from
                    }
                    Err(failure) => {
                        closed = true;
                        yield WatchEvent::Interrupted(failure);
                        pause(&mut pauses).await;
                        continue;
                    }
                },
            };
            let path = path(&cluster, resource, &namespace, &selector, &from);
            version = Some(from);
            match cluster.open(&path).await {
                // Some servers answer 410 as the HTTP status instead of an event.
                Err(failure) if failure.code() == Some(410) => version = None,
                Err(failure) => {
                    closed = true;
                    yield WatchEvent::Interrupted(failure);
                    pause(&mut pauses).await;
                }
                Ok(response) => {
                    if std::mem::take(&mut closed) {
                        yield WatchEvent::Opened;
                    }
                    let idle = cluster.timing().watch_for + DEAD_AFTER;
                    let mut frames = std::pin::pin!(frames(response.into_body()));
                    let broken = loop {
                        let frame = match tokio::time::timeout(idle, frames.next()).await {
                            Err(_) => break Some(Failure::transport(format!("silence for {} s", idle.as_secs()))),
                            Ok(None) => break None,
                            Ok(Some(Err(failure))) => break Some(failure),
                            Ok(Some(Ok(frame))) => frame,
                        };
                        let (object, event): (Value, Told<T>) = match frame {
                            Frame::Added(object) | Frame::Modified(object) => (object, |o| Some(WatchEvent::Applied(o))),
                            Frame::Deleted(object) => (object, |o| Some(WatchEvent::Deleted(o))),
                            Frame::Bookmark(object) => (object, |_| None),
                            Frame::Error(status) if status.code == 410 => {
                                version = None;
                                break None;
                            }
                            Frame::Error(status) => break Some(Failure::Status { status, retry_after: None }),
                        };
                        if let Some(newer) = object["metadata"]["resourceVersion"].as_str() {
                            version = Some(newer.to_owned());
                        }
                        pauses = retry::backoff(cluster.next_seed(), None);
                        if let Some(event) = event(read(object)) {
                            yield event;
                        }
                    };
                    if let Some(failure) = broken {
                        cluster.broke();
                        closed = true;
                        yield WatchEvent::Interrupted(failure);
                    }
                    // Also after a clean end: a server that ends watches at once must not be asked in a loop.
                    pause(&mut pauses).await;
                }
            }
        }
    }
}

async fn list<T>(
    cluster: &Cluster,
    resource: Resource,
    namespace: &str,
    selector: &Selector,
    read: &impl Fn(Value) -> T,
) -> Result<(Vec<T>, String), Failure> {
    let (mut objects, mut version) = (Vec::new(), String::new());
    // As text an object takes a seventh of what it takes taken apart, and a page has five hundred.
    let mut pages = cluster.pages::<Box<RawValue>>(resource, namespace, selector);
    while let Some(page) = pages.next().await? {
        if page.anew {
            objects.clear();
        }
        for item in page.items {
            let object = serde_json::from_str(item.get());
            let unreadable = |error| Failure::transport(format!("an object that is not understood: {error}"));
            objects.push(read(object.map_err(unreadable)?));
        }
        version = page.resource_version;
    }
    Ok((objects, version))
}

async fn pause(pauses: &mut impl Iterator<Item = Duration>) {
    tokio::time::sleep(pauses.next().unwrap_or(retry::LONGEST_PAUSE)).await;
}

fn path(cluster: &Cluster, resource: Resource, namespace: &str, selector: &Selector, from: &str) -> String {
    let seconds = cluster.timing().watch_for.as_secs();
    format!(
        "{}?watch=true&allowWatchBookmarks=true&timeoutSeconds={seconds}&resourceVersion={}{}",
        resource.path(namespace),
        encoded(from),
        selector.query(),
    )
}

fn frames(body: Body) -> impl Stream<Item = Result<Frame, Failure>> + Send {
    let bytes = body.into_data_stream().map_err(std::io::Error::other).map_ok(Bytes::from);
    FramedRead::new(StreamReader::new(bytes), LinesCodec::new_with_max_length(LONGEST_LINE)).filter_map(async |line| {
        match line {
            Err(error) => Some(Err(Failure::transport(crate::error::cause_chain(&error)))),
            Ok(line) if line.trim().is_empty() => None,
            Ok(line) => match serde_json::from_str(&line) {
                Ok(frame) => Some(Ok(frame)),
                // A stream that was cut in the middle of an event.
                Err(error) if error.is_eof() => Some(Err(Failure::transport("cut in the middle of an event"))),
                Err(error) => Some(Err(Failure::transport(format!("an event that is not understood: {error}")))),
            },
        }
    })
}
