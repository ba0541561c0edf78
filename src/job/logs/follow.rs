//! Follows the log of one container to its end, over all its runs.
//!
//! A clean end, an error and silence are all the same: look at the Pod, and read on from the position, until the
//! container has ended and one more pass brings nothing. A kubelet that is killed ends a stream as cleanly as a
//! container does. Cost of an undisturbed container: two reads of its log and one of its Pod.
//! What an earlier run printed is in [`super::earlier`].

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use tokio::time::Instant;

use super::{
    LogSource, Position, Sink,
    channel::Line,
    container::{ContainerNow, RunState},
    lines::Piece,
    reader::{Output, Place, Reader},
    record::LogLine,
    source::{LogApi, LogRequest, Which},
};
use crate::cluster::{Failure, retry};

/// Limits in time of one reader.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Silence after which the link is taken for dead and opened anew. Default 60 s.
    pub silence: Duration,
    /// How far the status of a Pod may be behind its containers, where the kubelet looks at them once a second.
    /// Default 2 s.
    pub status_lag: Duration,
    /// How long the place to go on may be missing from the log of a container that may have been started again,
    /// before that counts as rotated away. Default 10 s.
    pub place_missing: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { silence: seconds(60), status_lag: seconds(2), place_missing: seconds(10) }
    }
}

const LOOK_EVERY: Duration = Duration::from_millis(500);
/// So often an ended container's log may be refused, or be words instead of a log, before that is final.
pub(super) const REFUSED_AGAIN: u32 = 5;

/// Reads `source` into `sink` until its container has ended for good or its log cannot be read any more.
/// `restart_count` is the current run; where `start` is of an earlier one, that is completed first.
pub async fn follow<A: LogApi>(
    api: A,
    source: LogSource,
    restart_count: i32,
    start: Option<Position>,
    sink: Sink,
    timing: Timing,
) {
    let follower = Follower { api, source: Arc::new(source), sink, timing };
    let mut run = restart_count;
    let mut reader = match start {
        Some(position) if position.restart_count < run => {
            follower
                .restarted(position.restart_count, Reader::new(position.restart_count, Some(&position)), false, run)
                .await
        }
        None if run > 0 => {
            if run > 1 {
                follower.mark(&format!("restarted {run} times before it was read: the first logs are gone")).await;
            }
            follower.restarted(run - 1, Reader::new(run - 1, None), false, run).await
        }
        position => Reader::new(run, position.as_ref()),
    };
    while let Some((next, of_next)) = follower.one_run(run, reader).await {
        (run, reader) = (next, of_next);
    }
}

pub(super) struct Follower<A> {
    pub api: A,
    pub source: Arc<LogSource>,
    pub sink: Sink,
    pub timing: Timing,
}

/// How a pass over a log ended.
#[derive(Debug)]
pub(super) enum PassEnd {
    /// The stream ended as if the container had; one that does not follow ends where the log does at present.
    Clean(Which),
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

/// What the passes over one run's log have shown.
#[derive(Default)]
struct Known {
    /// The container had ended for good before the pass began.
    ended: bool,
    /// How many passes in a row have ended cleanly. One may have been cut by the end of the kubelet; then the next
    /// is refused.
    clean_passes: u32,
    /// The last pass that had an answer ended cleanly behind the position.
    clean: bool,
    /// The same, and it showed nothing new, or began after the container had ended.
    whole: bool,
    /// Refusals and words instead of a log, in a row, since then.
    refused: u32,
    /// Since when the place to go on is missing.
    lost: Option<Instant>,
}

impl<A: LogApi> Follower<A> {
    /// Reads one run to its end; gives the next one, and its reader.
    async fn one_run(&self, run: i32, mut reader: Reader) -> Option<(i32, Reader)> {
        let mut pauses = retry::backoff(self.api.next_seed(), None);
        let mut known = Known::default();
        loop {
            let began = Instant::now();
            let end = self.pass(&mut reader, Which::Follow).await;
            if known.judge(&end, &mut reader) || began.elapsed() > retry::LONGEST_PAUSE {
                pauses = retry::backoff(self.api.next_seed(), None);
            }
            match &end {
                PassEnd::Closed => return None,
                PassEnd::Clean(_) if known.ended && known.clean_passes > 1 && reader.nothing_new() => {
                    return self.over(&mut reader).await;
                }
                PassEnd::Unavailable(failure) if failure.code() == Some(403) => {
                    let text = failure.message();
                    self.mark(&format!("the log cannot be read: {text}; allow the verb `get` on `pods/log`")).await;
                    return None;
                }
                PassEnd::Unavailable(_) | PassEnd::NotLog(_) if known.ended && known.refused >= REFUSED_AGAIN => {
                    self.mark(&format!("the rest of the log cannot be read any more: {}", end.why())).await;
                    return None;
                }
                _ => {}
            }
            // Silence was long enough, and who is not followed waits for the next turn.
            let paced = matches!(end, PassEnd::Silent | PassEnd::Clean(Which::Current));
            let mut pause = !paced || reader.place() != Place::Reached;
            match self.settled(run, &known, &end).await {
                Ok(ContainerNow::Run { restart_count, .. }) if restart_count > run => {
                    return Some((restart_count, self.restarted(run, reader, known.clean, restart_count).await));
                }
                Ok(ContainerNow::PodGone) => {
                    self.over::<()>(&mut reader).await;
                    if !known.whole {
                        self.mark("the Pod is gone: the end of this log may be missing").await;
                    }
                    return None;
                }
                Ok(ContainerNow::Run { state, .. }) => {
                    if let RunState::Ended { finished } = &state {
                        if let Some(finished) = finished {
                            reader.container_finished(finished);
                        }
                        // One more pass at once, unless the log cannot be had at present.
                        pause = !matches!(end, PassEnd::Clean(_)) || (known.ended && reader.place() == Place::Sought);
                    }
                    known.ended = matches!(state, RunState::Ended { .. });
                    let other_file = matches!(state, RunState::Restartable | RunState::Restarting);
                    if let Some(since) = known.lost
                        && (!other_file || since.elapsed() >= self.timing.place_missing)
                    {
                        self.gap(&mut reader).await;
                        known.lost = None;
                        pause = false;
                    }
                }
                Err(failure) if failure.code() == Some(403) && known.whole && reader.nothing_new() => {
                    let text = failure.message();
                    self.mark(&format!(
                        "whether the log is complete cannot be known: {text}; allow the verb `get` on `pods`"
                    ))
                    .await;
                    return self.over(&mut reader).await;
                }
                Ok(ContainerNow::Unknown) | Err(_) => known.ended = false,
            }
            if pause && reader.place() != Place::Moved {
                tokio::time::sleep(pauses.next().unwrap_or(retry::LONGEST_PAUSE)).await;
            }
        }
    }

    /// The log of this run is complete: what it ends with is a line also without a newline.
    pub(super) async fn over<T>(&self, reader: &mut Reader) -> Option<T> {
        let mut outputs = Vec::new();
        reader.finish(&mut outputs);
        for output in outputs {
            if let Output::Piece(piece, position) = output {
                self.put(piece, position).await;
            }
        }
        None
    }

    /// Reads once from the position to whatever end.
    pub(super) async fn pass(&self, reader: &mut Reader, which: Which) -> PassEnd {
        // To wait for it is no silence of the container.
        let turn = self.api.turn(which).await;
        let request = LogRequest { which: turn.which, since: reader.begin() };
        // A silent container may be answered only with its first line: that is no failure.
        let opened = tokio::time::timeout(self.timing.silence, self.api.open(&self.source, &request)).await;
        let stream = match opened {
            Err(_) => return PassEnd::Silent,
            Ok(Err(failure)) => return PassEnd::Unavailable(failure),
            Ok(Ok(stream)) => stream,
        };
        let mut stream = std::pin::pin!(stream);
        loop {
            let chunk = match tokio::time::timeout(self.timing.silence, stream.next()).await {
                Err(_) => return PassEnd::Silent,
                Ok(None) => return reader.words_at_the_end().map_or(PassEnd::Clean(turn.which), PassEnd::NotLog),
                Ok(Some(Err(_))) => return PassEnd::Broken,
                Ok(Some(Ok(chunk))) => chunk,
            };
            let mut outputs = Vec::new();
            reader.feed(&chunk, &mut outputs);
            for output in outputs {
                match output {
                    Output::Piece(piece, position) => {
                        if !self.put(piece, position).await {
                            return PassEnd::Closed;
                        }
                    }
                    Output::NotLog(text) => return PassEnd::NotLog(text),
                    Output::Again => return PassEnd::Broken,
                }
            }
            // Not before it has brought something: else it would never get further.
            if turn.over() && reader.brought() {
                return PassEnd::Broken;
            }
        }
    }

    /// What the container is, once its status can be believed: the log of the next run is served a moment before the
    /// Pod's status tells of it, and must not be taken for more of this one.
    async fn settled(&self, run: i32, known: &Known, end: &PassEnd) -> Result<ContainerNow, Failure> {
        let since = Instant::now();
        let mut pauses = retry::backoff(self.api.next_seed(), None);
        loop {
            let now = self.api.look(&self.source).await?;
            let pause = match &now {
                ContainerNow::Run { restart_count, state } if *restart_count == run => match state {
                    // The kubelet's own pause between two runs grows up to five minutes.
                    RunState::Restarting if known.clean => LOOK_EVERY.max(pauses.next().unwrap_or(LOOK_EVERY)),
                    // The end of what is written tells nothing of the container: the next pass shows the next run.
                    RunState::Restartable if matches!(end, PassEnd::Clean(Which::Current)) => return Ok(now),
                    RunState::Restarting | RunState::Restartable if since.elapsed() < self.timing.status_lag => {
                        LOOK_EVERY
                    }
                    _ => return Ok(now),
                },
                _ => return Ok(now),
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// The last line delivered is not in the log any more: what there is follows behind a mark.
    pub(super) async fn gap(&self, reader: &mut Reader) {
        self.mark("lines may be missing here: the log was rotated before it was read on").await;
        reader.accept_gap();
    }

    async fn put(&self, piece: Piece, position: Position) -> bool {
        let mut text = piece.text;
        if piece.last && text.last() == Some(&b'\r') {
            text.pop();
        }
        let text =
            String::from_utf8(text).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        let whole = piece.last && piece.offset == 0;
        self.sink.put(&self.source, Line::Text(LogLine { stamp: piece.stamp, text, whole, position })).await
    }

    pub(super) async fn mark(&self, text: &str) {
        let LogSource { pod, container, .. } = &*self.source;
        self.sink
            .put(&self.source, Line::Mark(format!("--- container `{container}` of Pod `{pod}`: {text} ---")))
            .await;
    }
}

impl Known {
    /// Takes what a pass has shown; true where it brought something.
    fn judge(&mut self, end: &PassEnd, reader: &mut Reader) -> bool {
        let clean = matches!(end, PassEnd::Clean(_));
        // To read what is written up to now proves an end only where the container had ended before.
        let at_end = clean && (self.ended || !matches!(end, PassEnd::Clean(Which::Current)));
        self.clean_passes = if at_end { self.clean_passes + 1 } else { 0 };
        if clean && self.ended {
            reader.ended();
        }
        match end {
            PassEnd::Unavailable(failure) => {
                self.refused += u32::from(self.ended && matches!(failure.code(), Some(400 | 404)));
            }
            PassEnd::NotLog(_) => self.refused += u32::from(self.ended),
            _ => {
                self.clean = at_end && reader.place() == Place::Reached;
                self.whole = self.clean && (self.ended || reader.nothing_new());
                self.refused = 0;
            }
        }
        match reader.place() {
            Place::Lost => _ = self.lost.get_or_insert_with(Instant::now),
            Place::Reached => self.lost = None,
            Place::Sought | Place::Moved => {}
        }
        reader.brought()
    }
}

impl PassEnd {
    /// In words, where a log was not to be had.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Unavailable(failure) => failure.message(),
            Self::NotLog(text) => text.clone(),
            _ => String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
