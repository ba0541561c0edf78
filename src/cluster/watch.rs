//! Watches without end: resumes at its version, lists again after a 410, notices a dead link.
//!
//! Promise: every change after the start is seen, in order, or a whole list takes its place ([`WatchEvent::Relisted`]);
//! nothing is concluded from silence. The watch asks for bookmarks. It ends a stream that brought nothing for 15 s
//! beyond the time that the server was asked to keep it, so that a half-open link is replaced. Whatever the server
//! answers, it is asked again in turns ([`Pauses`]), and while no stream lasts, a list takes the place of the watch
//! once a minute.
//!
//! A watch may begin without a list ([`Start::Present`]): if the request names no version, every Kubernetes first
//! reports the objects that exist, as additions. Source: "Get State and Start at Most Recent" in
//! <https://kubernetes.io/docs/reference/using-api/api-concepts/#semantics-for-watch>. A server may report them from its
//! cache, a moment old, and later changes follow. These additions come in any order and nothing marks their end, so a
//! list follows if the stream is cut among them. The first change, deletion or bookmark shows that all were reported.
//!
//! Of `managedFields` an object has only what this crate reads.
//!
//! Cost while waiting: one request per [`super::connection::Timing::watch_for`].

use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use kube::{client::Body, core::Status};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};
use tokio::time::Instant;
use tokio_util::{
    codec::{FramedRead, LinesCodec, LinesCodecError},
    io::StreamReader,
};
use tracing::{Instrument, Span, debug, debug_span, trace};

use super::{
    answer,
    cause::Cause,
    connection::Cluster,
    pauses::Pauses,
    request::{Failure, Responder},
    request_log::Named,
};
use crate::resource::Selector;
use crate::{
    identity::Namespace,
    resource::{Path, Resource, WithoutFields},
};

/// The longest line of a watch: an object of at most 3 MiB, escaped.
const LONGEST_LINE: usize = 16 << 20;
/// A server ends a watch soon after the time that was asked for; after this much more the link is dead.
const DEAD_AFTER: Duration = Duration::from_secs(15);
/// A stream that has lasted this long works. Neither its opening nor its first events prove that.
const STEADY_AFTER: Duration = Duration::from_secs(5);
/// While no stream lasts, everything is listed this often.
const LIST_INSTEAD_EVERY: Duration = Duration::from_secs(60);

/// Where a watch begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// After a whole list.
    List,
    /// With the objects that exist, reported as [`WatchEvent::Applied`]: this needs one request less than a list and a
    /// watch. If the stream does not open, or breaks off before it has reported everything, the watch goes on as
    /// [`Start::List`].
    Present,
    /// At a version that an earlier answer named.
    Version(String),
}

impl Start {
    /// The version to begin at, and whether to begin without a list if there is no version.
    fn taken_apart(self) -> (Option<String>, bool) {
        match self {
            Self::List => (None, false),
            Self::Present => (None, true),
            Self::Version(version) => (Some(version), false),
        }
    }
}

/// An event of a watch.
#[derive(Debug, Clone)]
pub enum WatchEvent<T = Value> {
    /// The whole present state, after the start or a gap. An object that is missing here may be gone; only a GET proves
    /// it.
    Relisted(Vec<T>),
    /// An object was made or changed.
    Applied(T),
    /// An object left the watch, with its last state: it was deleted, or its labels changed.
    Deleted(T),
    /// The stream is open, which proves the right to watch and nothing else. This event comes only until the stream is
    /// steady.
    Opened,
    /// The stream works: it has lasted for some seconds, for the first time or again after
    /// [`WatchEvent::Interrupted`].
    Steady,
    /// The stream or its resumption failed, or ended at once; it is tried again until it works. 401 and 403 are
    /// reported in this way, too.
    Interrupted(Failure),
}

/// Turns a frame's object into an event; bookmarks give none.
type ToEvent<T> = fn(T) -> Option<WatchEvent<T>>;

#[derive(Deserialize)]
#[serde(tag = "type", content = "object", rename_all = "UPPERCASE")]
enum Frame {
    Added(WithoutFields),
    Modified(WithoutFields),
    Deleted(WithoutFields),
    Bookmark(WithoutFields),
    Error(Box<Status>),
}

/// Writes the line of an event into the debug log: which object it is, never its content.
fn watched(span: &Span, frame: &Frame) {
    let (event, object) = match frame {
        Frame::Added(object) => ("ADDED", object),
        Frame::Modified(object) => ("MODIFIED", object),
        Frame::Deleted(object) => ("DELETED", object),
        Frame::Bookmark(object) => ("BOOKMARK", object),
        Frame::Error(status) => return trace!(parent: span, code = status.code, "ERROR"),
    };
    let [name, version] = ["name", "resourceVersion"].map(|key| &object.0["metadata"][key]);
    trace!(parent: span, %name, resource_version = %version, "{event}");
}

/// Follows a collection of a namespace without end.
pub fn watch(
    cluster: Cluster,
    resource: Resource,
    namespace: Namespace,
    selector: Selector,
    start: Start,
    pauses: Pauses,
) -> impl Stream<Item = WatchEvent> + Send + 'static {
    watch_as(cluster, resource, namespace, selector, start, pauses, |object| object)
}

/// The same for callers that keep little of each object: `read` takes one at a time, also out of a list.
pub fn watch_as<T: Send + 'static>(
    cluster: Cluster,
    resource: Resource,
    namespace: Namespace,
    selector: Selector,
    start: Start,
    pauses: Pauses,
    read: impl Fn(Value) -> T + Send + Sync + 'static,
) -> impl Stream<Item = WatchEvent<T>> + Send + 'static {
    async_stream::stream! {
        let span = debug_span!("watch", kind = resource.kind(), %namespace);
        let (mut version, mut without_list) = start.taken_apart();
        let mut listed = Instant::now();
        let mut steadiness = Steadiness::default();
        loop {
            pauses.turn().await;
            if !steadiness.told && listed.elapsed() >= LIST_INSTEAD_EVERY {
                version = None;
            }
            let from = match version.take() {
                Some(from) => Some(from),
                None if std::mem::take(&mut without_list) => None,
                None => match list(&cluster, resource, &namespace, &selector, &read).instrument(span.clone()).await {
                    Ok((objects, from)) => {
                        listed = Instant::now();
                        yield WatchEvent::Relisted(objects);
                        Some(from)
                    }
                    Err(failure) => {
                        steadiness.lost();
                        yield WatchEvent::Interrupted(failure);
                        continue;
                    }
                },
            };
            let path = path(&cluster, resource, &namespace, &selector, from.as_deref());
            // Without a version the stream first reports the objects that exist. Until all of them have come, there is
            // no version at which the watch could resume.
            let mut resumable = from.is_some();
            version = from;
            let body = match cluster.open(&path).instrument(span.clone()).await {
                Ok(response) => response.into_body(),
                // Some servers answer 410 as the HTTP status instead of an event.
                Err(failure) if failure.code() == Some(410) => {
                    version = None;
                    continue;
                }
                Err(failure) => {
                    steadiness.lost();
                    yield WatchEvent::Interrupted(failure);
                    continue;
                }
            };
            if !steadiness.told {
                yield WatchEvent::Opened;
            }
            let began = Instant::now();
            let idle = cluster.timing().watch_for + DEAD_AFTER;
            let mut silent = began + idle;
            let mut brought = false;
            let mut frames = std::pin::pin!(frames(body));
            let end = loop {
                let steady = steadiness.due(began);
                let frame = tokio::time::timeout_at(steady.unwrap_or(silent).min(silent), frames.next()).await;
                if steady.is_some_and(|at| at <= Instant::now()) {
                    steadiness.told = true;
                    yield WatchEvent::Steady;
                }
                let frame = match frame {
                    Err(_) if silent <= Instant::now() => {
                        break StreamEnd::Wrong(Failure::transport(Cause::silence(idle)));
                    }
                    Err(_) => continue,
                    Ok(None) => break StreamEnd::Clean,
                    Ok(Some(Err(end))) => break end,
                    Ok(Some(Ok(frame))) => frame,
                };
                silent = Instant::now() + idle;
                watched(&span, &frame);
                resumable |= !matches!(frame, Frame::Added(_));
                // A bookmark has a version and nothing else.
                let tells = !matches!(frame, Frame::Bookmark(_));
                let (WithoutFields(object), event): (_, ToEvent<T>) = match frame {
                    Frame::Added(object) | Frame::Modified(object) => (object, |o| Some(WatchEvent::Applied(o))),
                    Frame::Deleted(object) => (object, |o| Some(WatchEvent::Deleted(o))),
                    Frame::Bookmark(object) => (object, |_| None),
                    Frame::Error(status) if status.code == 410 => break StreamEnd::Expired,
                    Frame::Error(status) => break StreamEnd::refused(*status),
                };
                if tells && let Err(failure) = answer::watched(resource, &object) {
                    // It says nothing of what was asked for, and those that follow may.
                    yield WatchEvent::Interrupted(failure);
                    continue;
                }
                (brought, steadiness.outlive) = (true, Duration::ZERO);
                if resumable && let Some(newer) = object["metadata"]["resourceVersion"].as_str() {
                    version = Some(newer.to_owned());
                }
                if let Some(event) = event(read(object)) {
                    yield event;
                }
            };
            debug!(parent: &span, age = ?began.elapsed(), "stream ended: {}", end.name());
            match end {
                StreamEnd::Expired => version = None,
                StreamEnd::Cut(_) | StreamEnd::Wrong(_) => cluster.broke(),
                StreamEnd::Clean => {}
            }
            if let Some(event) = steadiness.ended(end, began.elapsed(), brought) {
                yield event;
            }
        }
    }
}

/// How a stream ended.
enum StreamEnd {
    /// The stream ended cleanly, as if its time were over.
    Clean,
    /// The version is too old.
    Expired,
    /// The connection broke.
    Cut(Failure),
    /// The stream ended because of what the server sent, or did not send.
    Wrong(Failure),
}

impl StreamEnd {
    /// The end by a `Status` in the stream.
    fn refused(status: Status) -> Self {
        let (status, responder) = (Box::new(answer::sane(status)), Responder::ApiServer);
        Self::Wrong(Failure::Status { status, responder, retry_after: None })
    }

    /// The words for the debug log.
    fn name(&self) -> String {
        match self {
            Self::Clean => "by the server".to_owned(),
            Self::Expired => "its version is too old (410)".to_owned(),
            Self::Cut(failure) | Self::Wrong(failure) => Named(failure).to_string(),
        }
    }
}

/// Remembers whether streams last.
#[derive(Default)]
struct Steadiness {
    /// Whether it was reported that they last.
    told: bool,
    /// The age of the longest stream that brought nothing usable: the next stream must last longer, unless it brings
    /// something.
    outlive: Duration,
}

impl Steadiness {
    fn lost(&mut self) {
        self.told = false;
    }

    /// The event about the end of a stream of this age, which has `brought` something or not.
    fn ended<T>(&mut self, end: StreamEnd, age: Duration, brought: bool) -> Option<WatchEvent<T>> {
        let failure = match end {
            StreamEnd::Expired => return None,
            StreamEnd::Clean if age >= STEADY_AFTER => {
                return (!std::mem::replace(&mut self.told, true)).then_some(WatchEvent::Steady);
            }
            StreamEnd::Clean => Failure::transport(Cause::ended_after(age)),
            StreamEnd::Cut(failure) => failure,
            StreamEnd::Wrong(failure) => {
                if !brought {
                    self.outlive = self.outlive.max(age);
                }
                failure
            }
        };
        self.lost();
        Some(WatchEvent::Interrupted(failure))
    }

    /// When to report that the stream which began at this moment lasts.
    fn due(&self, began: Instant) -> Option<Instant> {
        (!self.told).then(|| began + self.outlive + STEADY_AFTER)
    }
}

async fn list<T>(
    cluster: &Cluster,
    resource: Resource,
    namespace: &Namespace,
    selector: &Selector,
    read: &impl Fn(Value) -> T,
) -> Result<(Vec<T>, String), Failure> {
    let (mut objects, mut version) = (Vec::new(), String::new());
    // An object as text takes a seventh of the memory of a parsed one, and a page has five hundred.
    let mut pages = cluster.pages::<Box<RawValue>>(resource, namespace, selector);
    while let Some(page) = pages.next().await? {
        if page.anew {
            objects.clear();
        }
        for item in page.items {
            let object = serde_json::from_str::<WithoutFields>(item.get());
            let unreadable = |error| Cause::unreadable("an object that is not understood", &error);
            objects.push(read(object.map_err(unreadable).map_err(Failure::transport)?.0));
        }
        version = page.resource_version;
    }
    Ok((objects, version))
}

fn path(cluster: &Cluster, resource: Resource, namespace: &Namespace, selector: &Selector, from: Option<&str>) -> Path {
    let seconds = cluster.timing().watch_for.as_secs();
    let path = Path::collection(resource, namespace)
        .with("watch", "true")
        .with("allowWatchBookmarks", "true")
        .with("timeoutSeconds", &seconds.to_string());
    let path = match from {
        Some(from) => path.with("resourceVersion", from),
        None => path,
    };
    path.selected(selector)
}

fn frames(body: Body) -> impl Stream<Item = Result<Frame, StreamEnd>> + Send {
    let bytes = body.into_data_stream().map_err(std::io::Error::other).map_ok(Bytes::from);
    FramedRead::new(StreamReader::new(bytes), LinesCodec::new_with_max_length(LONGEST_LINE)).filter_map(async |line| {
        match line {
            Err(error @ LinesCodecError::MaxLineLengthExceeded) => {
                Some(Err(StreamEnd::Wrong(Failure::transport(Cause::of(&error)))))
            }
            Err(error) => Some(Err(StreamEnd::Cut(Failure::transport(Cause::of(&error))))),
            Ok(line) if line.trim().is_empty() => None,
            Ok(line) => match serde_json::from_str(&line) {
                Ok(frame) => Some(Ok(frame)),
                // The stream was cut in the middle of an event.
                Err(error) if error.is_eof() => {
                    Some(Err(StreamEnd::Cut(Failure::transport("cut in the middle of an event"))))
                }
                Err(error) => {
                    let cause = Cause::unreadable("an event that is not understood", &error);
                    Some(Err(StreamEnd::Wrong(Failure::transport(cause))))
                }
            },
        }
    })
}
