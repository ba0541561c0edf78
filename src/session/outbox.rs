//! The queue of events between the work that they tell of and whoever takes them.
//!
//! Promise: events are taken in the order in which they were put. An error is taken alone, so nothing that came before it is
//! lost with it. Only [`Outbox::take`] and [`Outbox::next`] move the positions: they are exactly what was delivered of the log.

use std::{
    collections::VecDeque,
    future::poll_fn,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::{
    sync::{Notify, futures::Notified},
    time::Instant,
};

use super::event::Event;
use crate::{
    error::Error,
    logs,
    model::{
        log_positions::{Positions, SourcePosition},
        message::{Message, MessageSink},
    },
};

/// At most this many events are taken at once.
const AT_ONCE: usize = 64;
/// How long lines are gathered after the last record, where many share the log's quota.
const GATHER: Duration = Duration::from_millis(250);

/// Events on their way out.
pub(crate) struct Outbox {
    state: Mutex<State>,
    /// At most this many records wait here; further lines wait in the channel of the log.
    most_records: usize,
    /// Told when events were taken.
    taken: Notify,
    /// Told when lines were.
    moved: Notify,
}

#[derive(Default)]
struct State {
    events: VecDeque<Result<Event, Error>>,
    records: usize,
    waker: Option<Waker>,
    ended: bool,
    /// How far the log was delivered.
    positions: Positions,
}

impl Outbox {
    pub fn new(most_records: usize) -> Self {
        Self { state: Mutex::default(), most_records, taken: Notify::default(), moved: Notify::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an event behind the others; nothing is put after [`Outbox::end`].
    pub fn put(&self, event: Result<Event, Error>) {
        let mut state = self.state();
        if state.ended {
            return;
        }
        state.records += usize::from(matches!(event, Ok(Event::Log(_))));
        state.events.push_back(event);
        wake(state);
    }

    /// Whoever takes learns that nothing comes any more.
    pub fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        wake(state);
    }

    /// How far the log was delivered.
    pub fn positions(&self) -> Vec<SourcePosition> {
        self.state().positions.list()
    }

    /// How far somebody else has delivered it.
    pub fn set_positions(&self, positions: &[SourcePosition]) {
        self.state().positions = positions.iter().cloned().collect();
    }

    /// Completes after lines were taken.
    pub fn moved(&self) -> Notified<'_> {
        self.moved.notified()
    }

    /// Puts the log to its end, as far as there is room. Under a quota a line after silence comes at once, and what
    /// follows is gathered.
    pub async fn deliver(&self, mut lines: logs::Receiver, quota: Option<&logs::LogQuota>) {
        let mut last: Option<Instant> = None;
        while lines.wait().await {
            if let (Some(last), Some(_)) = (last, quota) {
                tokio::select! {
                    () = tokio::time::sleep_until(last + GATHER) => {}
                    () = lines.enough() => {}
                }
            }
            last = Some(Instant::now());
            self.room().await;
            if let Some(quota) = quota {
                quota.record().await;
            }
            if let Some(record) = lines.next().await {
                let more = record.parts.len().saturating_sub(1);
                self.put(Ok(Event::Log(record)));
                if let Some(quota) = quota {
                    for _ in 0..more {
                        quota.record().await;
                    }
                }
            }
        }
    }

    /// Waits until few records wait to be taken.
    async fn room(&self) {
        while self.state().records >= self.most_records {
            self.taken.notified().await;
        }
    }

    /// Whether there is something to take, or an end.
    pub fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.events.is_empty() && !state.ended {
            state.waker = Some(context.waker().clone());
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// The next event; `None` at the end. Nothing is lost where this is cancelled.
    pub async fn next(&self) -> Option<Result<Event, Error>> {
        poll_fn(|context| self.poll_ready(context)).await;
        self.take_most(1).pop()
    }

    /// Events, as many as are there.
    pub fn take(&self) -> Vec<Result<Event, Error>> {
        self.take_most(AT_ONCE)
    }

    fn take_most(&self, most: usize) -> Vec<Result<Event, Error>> {
        let mut state = self.state();
        let count = state.events.len().min(most);
        // An error ends the list, so that nothing before it is lost with it.
        let errs = state.events.iter().take(count).position(Result::is_err);
        let count = errs.map_or(count, |at| at.max(1));
        // The memory of many events goes with them.
        let rest = state.events.split_off(count);
        let taken = Vec::from(std::mem::replace(&mut state.events, rest));
        let mut moved = false;
        for event in taken.iter().flatten() {
            if let Event::Log(record) = event {
                moved = true;
                state.records -= 1;
                state.positions.delivered(record.position.as_ref());
            }
        }
        drop(state);
        self.taken.notify_one();
        if moved {
            self.moved.notify_one();
        }
        taken
    }
}

impl MessageSink for Outbox {
    fn emit(&self, message: Message) {
        self.put(Ok(Event::Message(message)));
    }
}

fn wake(mut state: MutexGuard<'_, State>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}
