//! Follows the log of one container to its end, over all its runs.
//!
//! A clean end, an error and silence are all the same: look at the Pod, and read on from the position, until the
//! container has ended and one more pass brings nothing. Cost of an undisturbed container: two reads of its log and
//! one of its Pod.

use std::{io, sync::Arc, time::Duration};

use futures::{StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::client::Body;
use tokio::time::Instant;

use super::{
    LogSource, Position, Sink,
    channel::Line,
    lines::Piece,
    reader::{Output, Reader},
};
use crate::{
    cluster::{Cluster, Failure, Resource, retry},
    error::cause_chain,
    job::view::all_containers,
};

/// Limits in time of one reader.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Silence after which the link is taken for dead and opened anew. Default 60 s.
    pub silence: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { silence: Duration::from_secs(60) }
    }
}

/// How far the status of a Pod may be behind its containers: the kubelet looks at them once a second.
const STATUS_LAG: Duration = Duration::from_secs(2);
const FIRST_LOOK_AGAIN: Duration = Duration::from_millis(500);
/// So often the kubelet may answer with words instead of a log before that is final.
const NOT_LOG_AGAIN: u32 = 5;

/// Reads `source` into `sink` until its container has ended for good or its log cannot be read any more.
pub async fn follow(
    cluster: Cluster,
    source: LogSource,
    restart_count: i32,
    start: Option<Position>,
    sink: Sink,
    timing: Timing,
) {
    let follower = Follower { cluster, source: Arc::new(source), sink, timing };
    let mut run = restart_count;
    let mut start = start;
    while let Next::Run(next) = follower.one_run(run, start.take()).await {
        run = next;
    }
}

struct Follower {
    cluster: Cluster,
    source: Arc<LogSource>,
    sink: Sink,
    timing: Timing,
}

/// What comes after one run of a container.
enum Next {
    /// It was started again.
    Run(i32),
    Over,
}

/// How a pass over a log ended.
enum PassEnd {
    /// The stream ended as if the container had.
    Clean,
    /// Nothing came for long.
    Silent,
    /// The stream broke, or was broken off.
    Broken,
    /// The log cannot be had at present.
    Unavailable(Failure),
    /// The kubelet's words instead of a log.
    NotLog(String),
    /// Nobody takes the lines any more.
    Closed,
}

/// What the container is now.
enum Now {
    /// It runs, or will.
    Open,
    /// The same, in a Pod whose kubelet starts ended containers again.
    Restartable,
    /// This run has ended, and the kubelet is about to start the next one.
    Restarting,
    /// This run has ended, and no other will come while its Pod lives.
    Ended,
    /// It was started again: its number of restarts.
    Restarted(i32),
    PodGone,
    Unknown,
}

impl Follower {
    async fn one_run(&self, run: i32, start: Option<Position>) -> Next {
        let mut reader = Reader::new(start);
        let mut pauses = retry::backoff(self.cluster.next_seed(), None);
        let mut was_ended = false;
        let mut not_log = 0;
        loop {
            let end = self.pass(&mut reader, false).await;
            if reader.brought() {
                pauses = retry::backoff(self.cluster.next_seed(), None);
                not_log = 0;
            }
            let clean = matches!(end, PassEnd::Clean);
            let corrected = matches!(end, PassEnd::Clean | PassEnd::Silent) && reader.cut_short();
            match &end {
                PassEnd::Closed => return Next::Over,
                PassEnd::Unavailable(failure) if failure.code() == Some(403) => {
                    self.mark(&format!(
                        "the log cannot be read: {}; allow the verb `get` on `pods/log`",
                        failure.message()
                    ))
                    .await;
                    return Next::Over;
                }
                PassEnd::NotLog(text) => {
                    not_log += 1;
                    if not_log >= NOT_LOG_AGAIN {
                        self.mark(&format!("the rest of the log cannot be read any more: {text}")).await;
                        return Next::Over;
                    }
                }
                _ => {}
            }
            if clean && was_ended && !reader.brought() && !corrected {
                return self.over(&mut reader).await;
            }
            match self.settled(run).await {
                Now::Restarted(count) => {
                    // What looked like a rotated file was the log of the next run.
                    reader.withdraw_correction();
                    // The kubelet keeps the log of one ended run, and sometimes not even that.
                    let complete = count == run + 1 && matches!(self.pass(&mut reader, true).await, PassEnd::Clean);
                    self.over(&mut reader).await;
                    if count > run + 1 {
                        self.mark(&format!("restarted {} times unseen: those logs are gone", count - run)).await;
                    } else if !complete && !clean {
                        self.mark("restarted: the end of the log before may be missing").await;
                    }
                    return Next::Run(count);
                }
                Now::PodGone => {
                    if !clean || corrected {
                        self.mark("the Pod is gone: the end of this log may be missing").await;
                    }
                    return self.over(&mut reader).await;
                }
                Now::Ended => {
                    // One more pass at once, unless the log cannot be had at present.
                    let first = !was_ended;
                    was_ended = true;
                    if clean && (first || reader.brought() || corrected) {
                        continue;
                    }
                }
                Now::Open | Now::Restartable | Now::Restarting | Now::Unknown => was_ended = false,
            }
            tokio::time::sleep(pauses.next().unwrap_or(retry::LONGEST_PAUSE)).await;
        }
    }

    /// The log of this run is complete: what it ends with is a line also without a newline.
    async fn over(&self, reader: &mut Reader) -> Next {
        let mut outputs = Vec::new();
        reader.finish(&mut outputs);
        for output in outputs {
            if let Output::Piece(piece) = output {
                self.put(piece).await;
            }
        }
        Next::Over
    }

    async fn pass(&self, reader: &mut Reader, previous: bool) -> PassEnd {
        let (since, mark) = reader.begin();
        if mark.is_some() {
            self.mark("lines are missing here: they were rotated away before they could be read").await;
        }
        let response = match self.cluster.open(&self.path(since.as_deref(), previous)).await {
            Ok(response) => response,
            Err(failure) => return PassEnd::Unavailable(failure),
        };
        let mut chunks = std::pin::pin!(chunks(response.into_body()));
        loop {
            let chunk = match tokio::time::timeout(self.timing.silence, chunks.next()).await {
                Err(_) => return PassEnd::Silent,
                Ok(None) => return reader.words_at_the_end().map_or(PassEnd::Clean, PassEnd::NotLog),
                Ok(Some(Err(_))) => return PassEnd::Broken,
                Ok(Some(Ok(chunk))) => chunk,
            };
            let mut outputs = Vec::new();
            reader.feed(&chunk, &mut outputs);
            for output in outputs {
                match output {
                    Output::Piece(piece) => {
                        if !self.put(piece).await {
                            return PassEnd::Closed;
                        }
                    }
                    Output::NotLog(text) => return PassEnd::NotLog(text),
                    Output::Again => return PassEnd::Broken,
                    Output::Gap => {}
                }
            }
        }
    }

    /// What the container is, once its status can be believed: the log of the next run is served a moment before the
    /// Pod's status tells of it, and must not be taken for more of this one.
    async fn settled(&self, run: i32) -> Now {
        let begin = Instant::now();
        let mut pause = FIRST_LOOK_AGAIN;
        loop {
            match self.look(run).await {
                Now::Restarting => {}
                Now::Restartable if begin.elapsed() < STATUS_LAG => {}
                now => return now,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(retry::LONGEST_PAUSE);
        }
    }

    async fn look(&self, run: i32) -> Now {
        let object = match self.cluster.get(Resource::Pods, &self.source.namespace, &self.source.pod).await {
            Ok(Some(object)) => object,
            Ok(None) => return Now::PodGone,
            Err(_) => return Now::Unknown,
        };
        let Ok(pod) = serde_json::from_value::<Pod>(object) else { return Now::Unknown };
        if pod.metadata.uid.as_deref() != Some(self.source.pod_uid.as_str()) {
            return Now::PodGone;
        }
        let Some(container) = all_containers(&pod).find(|container| container.name == self.source.container) else {
            return Now::Unknown;
        };
        match container.restart_count {
            count if count > run => Now::Restarted(count),
            _ if ended_for_good(&pod, container) => Now::Ended,
            _ if !restartable(&pod, container) => Now::Open,
            _ if container.state.as_ref().is_some_and(|state| state.running.is_some()) => Now::Restartable,
            _ => Now::Restarting,
        }
    }

    fn path(&self, since: Option<&str>, previous: bool) -> String {
        let LogSource { namespace, pod, container, .. } = &*self.source;
        let since = since.map(|since| format!("&sinceTime={}", since.replace(':', "%3A"))).unwrap_or_default();
        let which = if previous { "previous=true" } else { "follow=true" };
        format!("{}/{pod}/log?{which}&timestamps=true&container={container}{since}", Resource::Pods.path(namespace))
    }

    async fn put(&self, piece: Piece) -> bool {
        let mut text = piece.text;
        if piece.last && text.last() == Some(&b'\r') {
            text.pop();
        }
        let text =
            String::from_utf8(text).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        self.sink.put(&self.source, Line::Text { stamp: piece.stamp, text }).await
    }

    async fn mark(&self, text: &str) {
        let LogSource { pod, container, .. } = &*self.source;
        self.sink
            .put(&self.source, Line::Mark(format!("--- container `{container}` of Pod `{pod}`: {text} ---")))
            .await;
    }
}

/// Whether the kubelet starts a container again that has ended.
fn restartable(pod: &Pod, container: &ContainerStatus) -> bool {
    let spec = pod.spec.as_ref();
    let sidecar = spec.and_then(|spec| spec.init_containers.as_ref()).into_iter().flatten();
    let always = sidecar.filter(|c| c.name == container.name).any(|c| c.restart_policy.as_deref() == Some("Always"));
    always || spec.and_then(|spec| spec.restart_policy.as_deref()) != Some("Never")
}

/// Whether a container has ended and the kubelet will not start it again.
fn ended_for_good(pod: &Pod, container: &ContainerStatus) -> bool {
    let Some(end) = container.state.as_ref().and_then(|state| state.terminated.as_ref()) else { return false };
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed")) || !restartable(pod, container) || end.exit_code == 0
}

fn chunks(body: Body) -> impl futures::Stream<Item = io::Result<bytes::Bytes>> + Send {
    body.into_data_stream().map_err(|error| io::Error::other(cause_chain(&error)))
}
