//! Follows the log of one container to its end, over all its runs.
//!
//! A clean end, an error and silence are all the same: learn what the container is, and read on from the position, until
//! the container has ended and one more pass brings nothing. A kubelet that is killed ends a stream as cleanly as a
//! container does. The end of a run is final, so the watch of its Pod reports it ([`LogStart::told`]); everything else is
//! asked for. Cost of an undisturbed container whose Pod is watched: two reads of its log.
//! What an earlier run printed is in [`crate::logs::previous_run`].

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};

use crate::{
    cluster::{Failure, Pauses},
    logs::{
        channel::{Line, Sink},
        container::{ContainerNow, RunState},
        gather::{BodyEnd, Gatherer},
        source::{LogApi, LogRequest, LogRun},
        stall::Stall,
        stream_quota::StreamPermit,
        undelivered::{Output, ReadState, Undelivered},
    },
    model::log_position::{LogSource, Position},
};

/// Limits in time of the reading of one container.
#[derive(Debug, Clone, Copy)]
pub struct LogTiming {
    /// Silence after which the link is taken for dead and opened anew. Default 60 s.
    pub silence: Duration,
    /// How far the status of a Pod may be behind its containers, where the kubelet looks at them once a second.
    /// Default 2 s.
    pub status_lag: Duration,
    /// How long the place to go on may be missing from the log of a container that may have been started again,
    /// before that counts as rotated away. Default 10 s.
    pub position_missing: Duration,
    /// After a clean end of the stream, how long the watch of the Pod is given to tell the end of the container before
    /// the Pod is asked for. Default 5 s: the kubelet writes the status a second or two later, more under load.
    pub watch_within: Duration,
}

impl Default for LogTiming {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self { silence: seconds(60), status_lag: seconds(2), position_missing: seconds(10), watch_within: seconds(5) }
    }
}

const STATUS_EVERY: Duration = Duration::from_millis(500);
/// After this many refusals, or words instead of a log, the log of an ended container is given up.
pub(crate) const REFUSED_AGAIN: u32 = 5;

/// Which log is read, from where on.
pub struct LogStart {
    /// The container.
    pub source: LogSource,
    /// The number of its current run.
    pub restart_count: i32,
    /// How far it was delivered; where that is an earlier run, it is completed first.
    pub position: Option<Position>,
    /// The container as the watch of its Pod tells it.
    pub told: watch::Receiver<ContainerNow>,
}

/// Reads the log into `sink` until its container has ended for good or its log cannot be read any more. `stall` reports
/// whether the log can still become complete.
pub async fn follow<A: LogApi>(api: A, start: LogStart, sink: Sink, stall: Arc<Stall>, timing: LogTiming) {
    let pauses = Pauses::new(api.next_seed());
    let LogStart { source, restart_count, position, told } = start;
    let follower = ContainerFollower { api, source: Arc::new(source), told, sink, stall, pauses, timing };
    let mut run = restart_count;
    let mut undelivered = match position {
        Some(position) if position.restart_count < run => {
            follower
                .restarted(
                    position.restart_count,
                    Undelivered::new(position.restart_count, Some(&position)),
                    false,
                    run,
                )
                .await
        }
        None if run > 0 => {
            if run > 1 {
                follower.mark(&format!("restarted {run} times before it was read: the first logs are gone")).await;
            }
            follower.restarted(run - 1, Undelivered::new(run - 1, None), false, run).await
        }
        position => Undelivered::new(run, position.as_ref()),
    };
    while let Some((next, of_next)) = follower.one_run(run, undelivered).await {
        (run, undelivered) = (next, of_next);
    }
}

pub(crate) struct ContainerFollower<A> {
    pub api: A,
    pub source: Arc<LogSource>,
    pub told: watch::Receiver<ContainerNow>,
    pub sink: Sink,
    pub stall: Arc<Stall>,
    /// The pauses between passes, shared by all runs.
    pub pauses: Pauses,
    pub timing: LogTiming,
}

/// How a pass over a log ended.
#[derive(Debug)]
pub(crate) enum PassEnd {
    /// The stream ended as if the container had; one that does not follow ends where the log does at present.
    Clean(LogRun),
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
struct KnownRun {
    /// The container had ended for good before the pass began.
    ended: bool,
    /// How many passes in a row have ended cleanly. One may have been cut by the end of the kubelet; then the next
    /// is refused.
    clean_passes: u32,
    /// The last pass that had an answer ended cleanly behind the position.
    clean: bool,
    /// The last pass ended cleanly, and it had no new line, or began after the container had ended.
    whole: bool,
    /// Refusals and words instead of a log, in a row, since then.
    refused: u32,
    /// Since when the place to go on is missing.
    lost: Option<Instant>,
    /// How long the watch of the Pod is given to tell the end after the next clean end of the stream.
    watch_within: Duration,
}

impl<A: LogApi> ContainerFollower<A> {
    /// Reads one run to its end; gives the next one, and its reader.
    async fn one_run(&self, run: i32, mut undelivered: Undelivered) -> Option<(i32, Undelivered)> {
        let mut known = KnownRun { watch_within: self.timing.watch_within, ..KnownRun::default() };
        let mut pause = false;
        loop {
            if pause && undelivered.state() != ReadState::Moved {
                self.pauses.turn().await;
            } else {
                self.pauses.soon().await;
            }
            let end = self.pass(&mut undelivered, LogRun::Follow).await;
            known.judge(&end, &mut undelivered);
            match &end {
                PassEnd::Closed => return None,
                PassEnd::Clean(_) if known.ended && known.clean_passes > 1 && undelivered.nothing_new() => {
                    return self.over(&mut undelivered).await;
                }
                PassEnd::Unavailable(failure) if failure.is_forbidden() => {
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
            let paced = matches!(end, PassEnd::Silent | PassEnd::Clean(LogRun::Current));
            pause = !paced || undelivered.state() != ReadState::Reached;
            match self.settled(run, &mut known, &end).await {
                Ok(ContainerNow::Run { restart_count, .. }) if restart_count > run => {
                    return Some((restart_count, self.restarted(run, undelivered, known.clean, restart_count).await));
                }
                Ok(ContainerNow::PodGone) => {
                    self.over::<()>(&mut undelivered).await;
                    if !known.whole {
                        self.mark("the Pod is gone: the end of this log may be missing").await;
                    }
                    return None;
                }
                Ok(ContainerNow::Run { state, .. }) => {
                    if let RunState::Ended { finished } = &state {
                        if let Some(finished) = finished {
                            undelivered.container_finished(finished);
                        }
                        // One more pass at once, unless the log cannot be had at present.
                        pause = !matches!(end, PassEnd::Clean(_))
                            || (known.ended && undelivered.state() == ReadState::Sought);
                    }
                    known.ended = matches!(state, RunState::Ended { .. });
                    let other_file = matches!(state, RunState::Restartable | RunState::Restarting);
                    if let Some(since) = known.lost
                        && (!other_file || since.elapsed() >= self.timing.position_missing)
                    {
                        self.gap(&mut undelivered).await;
                        known.lost = None;
                        pause = false;
                    }
                }
                Err(failure) if failure.is_forbidden() && known.whole && undelivered.nothing_new() => {
                    let text = failure.message();
                    self.mark(&format!(
                        "whether the log is complete cannot be known: {text}; allow the verb `get` on `pods`"
                    ))
                    .await;
                    return self.over(&mut undelivered).await;
                }
                Ok(ContainerNow::Unknown) | Err(_) => known.ended = false,
            }
        }
    }

    /// The log of this run is complete: what it ends with is a line also without a newline.
    pub(crate) async fn over<T>(&self, undelivered: &mut Undelivered) -> Option<T> {
        let mut outputs = Vec::new();
        undelivered.finish(&mut outputs);
        self.hand_on(outputs).await;
        None
    }

    /// Reads once from the position to whatever end.
    pub(crate) async fn pass(&self, undelivered: &mut Undelivered, which: LogRun) -> PassEnd {
        // The wait for a permit does not count as silence of the container.
        let asked = Instant::now();
        let turn = self.api.turn(which).await;
        self.stall.asks(asked.elapsed());
        let end = self.read(undelivered, &turn).await;
        self.stall.because(&end);
        end
    }

    async fn read(&self, undelivered: &mut Undelivered, turn: &StreamPermit) -> PassEnd {
        let request = LogRequest { which: turn.which, since: undelivered.begin() };
        // A silent container may be answered only with its first line: that is no failure.
        let opened = tokio::time::timeout(self.timing.silence, self.api.open(&self.source, &request)).await;
        let stream = match opened {
            Err(_) => return PassEnd::Silent,
            Ok(Err(failure)) => return PassEnd::Unavailable(failure),
            Ok(Ok(stream)) => stream,
        };
        let (mut stream, mut gatherer) = (std::pin::pin!(stream), Gatherer::new(self.timing.silence));
        loop {
            let mut outputs = Vec::new();
            let feed = |bytes: &[u8]| {
                undelivered.feed(bytes, &mut outputs);
                !outputs.is_empty()
            };
            let end = gatherer.next(stream.as_mut(), feed).await;
            if let Some(end) = self.hand_on(outputs).await {
                return end;
            }
            match end {
                Some(BodyEnd::Silent) => return PassEnd::Silent,
                Some(BodyEnd::Broken) => return PassEnd::Broken,
                Some(BodyEnd::Clean) => {
                    return undelivered.words_at_the_end().map_or(PassEnd::Clean(turn.which), PassEnd::NotLog);
                }
                None => {}
            }
            // Not before it has brought something: else it would never get further.
            if turn.over() && undelivered.brought() {
                return PassEnd::Broken;
            }
        }
    }

    /// What the container is, once its status can be believed: the log of the next run is served a moment before the
    /// Pod's status tells of it, and must not be taken for more of this one.
    async fn settled(&self, run: i32, known: &mut KnownRun, end: &PassEnd) -> Result<ContainerNow, Failure> {
        if let Some(over) = self.watch_reports_end(run, known, end).await {
            return Ok(over);
        }
        let since = Instant::now();
        let pauses = Pauses::new(self.api.next_seed());
        pauses.turn().await;
        loop {
            let now = self.api.container_state(&self.source).await?;
            let pause = match &now {
                ContainerNow::Run { restart_count, state } if *restart_count == run => match state {
                    // The kubelet's own pause between two runs grows up to five minutes.
                    RunState::Restarting if known.clean => {
                        STATUS_EVERY.max(pauses.next().saturating_duration_since(Instant::now()))
                    }
                    // The end of what is written tells nothing of the container: the next pass shows the next run.
                    RunState::Restartable if matches!(end, PassEnd::Clean(LogRun::Current)) => return Ok(now),
                    RunState::Restarting | RunState::Restartable if since.elapsed() < self.timing.status_lag => {
                        STATUS_EVERY
                    }
                    _ => return Ok(now),
                },
                _ => return Ok(now),
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Waits until the watch of the Pod reports that this run is over.
    async fn watch_reports_end(&self, run: i32, known: &mut KnownRun, end: &PassEnd) -> Option<ContainerNow> {
        // A stream may end cleanly again while the container runs. After one wait without result, later passes do not wait.
        let within = match end {
            PassEnd::Clean(LogRun::Follow) => std::mem::take(&mut known.watch_within),
            _ => Duration::ZERO,
        };
        let mut told = self.told.clone();
        // Where nobody watches the Pod any more, this ends at once.
        let over = tokio::time::timeout(within, told.wait_for(|now| now.is_past(run))).await.ok()?.ok()?;
        Some(over.clone())
    }

    /// The last line delivered is not in the log any more: what there is follows behind a mark.
    pub(crate) async fn gap(&self, undelivered: &mut Undelivered) {
        self.mark("lines may be missing here: the log was rotated before it was read on").await;
        undelivered.accept_gap();
    }

    /// Puts what a part of a pass has brought; gives how the pass ends where it cannot go on.
    async fn hand_on(&self, outputs: Vec<Output>) -> Option<PassEnd> {
        let mut end = None;
        for output in outputs {
            let lines = match output {
                Output::Lines(lines) => lines,
                Output::NotLog(text) => {
                    // Lines that came behind these words count as delivered.
                    end.get_or_insert(PassEnd::NotLog(text));
                    continue;
                }
                Output::Again => {
                    end.get_or_insert(PassEnd::Broken);
                    continue;
                }
            };
            self.stall.is_over();
            let taken = self.sink.put(&self.source, Line::Text(lines)).await;
            self.stall.asks(Duration::ZERO);
            if !taken {
                return Some(PassEnd::Closed);
            }
        }
        end
    }

    pub(crate) async fn mark(&self, text: &str) {
        let LogSource { pod, container, .. } = &*self.source;
        self.sink
            .put(&self.source, Line::Mark(format!("--- container `{container}` of Pod `{pod}`: {text} ---")))
            .await;
    }
}

impl KnownRun {
    /// Takes what a pass has shown.
    fn judge(&mut self, end: &PassEnd, undelivered: &mut Undelivered) {
        let clean = matches!(end, PassEnd::Clean(_));
        // To read what is written up to now proves an end only where the container had ended before.
        let at_end = clean && (self.ended || !matches!(end, PassEnd::Clean(LogRun::Current)));
        self.clean_passes = if at_end { self.clean_passes + 1 } else { 0 };
        if clean && self.ended {
            undelivered.ended();
        }
        match end {
            PassEnd::Unavailable(failure) => {
                self.refused += u32::from(self.ended && matches!(failure.code(), Some(400 | 404)));
            }
            PassEnd::NotLog(_) => self.refused += u32::from(self.ended),
            _ => {
                self.clean = at_end && undelivered.state() == ReadState::Reached;
                self.whole = self.clean && (self.ended || undelivered.nothing_new());
                self.refused = 0;
            }
        }
        match undelivered.state() {
            ReadState::Lost => _ = self.lost.get_or_insert_with(Instant::now),
            ReadState::Reached => self.lost = None,
            ReadState::Sought | ReadState::Moved => {}
        }
    }
}

impl PassEnd {
    /// In words, where a log was not to be had.
    pub(crate) fn why(&self) -> String {
        match self {
            Self::Unavailable(failure) => failure.message(),
            Self::NotLog(text) => text.clone(),
            Self::Silent => "nothing comes".to_owned(),
            Self::Broken => "it breaks off".to_owned(),
            Self::Clean(_) | Self::Closed => String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
