//! Hands lines from the readers of all containers of a Job to the one who writes them down.
//!
//! Promise: at most so many bytes wait, over all sources (a reader with more waits for room); the lines of a source stay
//! in order, its marks among them; sources that have something take turns, a record each, so that none starves; and
//! what waits together goes out together: one record of many lines costs Airflow a hundredth of many records.
//! What does not wait costs nothing: an idle channel is some 150 bytes, however many sources it has.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Notify, Semaphore};

use crate::{
    logs::{
        divide::Divider,
        record::{LogLines, Record, Style},
    },
    model::{log_position::LogSource, policies::LogFormat},
};

/// What the log of one container brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// What it wrote.
    Text(LogLines),
    /// Our own words at this place of its log.
    Mark(String),
}

/// Where readers put lines.
#[derive(Clone)]
pub struct Sink(Arc<Readers>);

/// All clones of a sink. Its end is the end of the channel.
struct Readers {
    channel: Arc<Channel>,
}

/// Where records come out.
pub struct Receiver {
    channel: Arc<Channel>,
    /// None before the first line: a thousand Jobs that print nothing are waited for at once.
    divider: Option<Box<Divider>>,
}

struct Channel {
    waiting: Mutex<Waiting>,
    /// In bytes; closed once nobody takes any more.
    capacity: Semaphore,
    bytes: usize,
    /// Told when there is something, when there is enough, and at the end.
    news: Notify,
}

/// What waits to be taken.
#[derive(Default)]
struct Waiting {
    /// The sources that have something; the first one's turn is next.
    turns: VecDeque<Queue>,
    /// Whether lines name their source.
    named: bool,
    /// All readers are gone.
    over: bool,
    format: LogFormat,
}

/// Records of one source, at least one, and what each takes of the room.
struct Queue {
    source: Arc<LogSource>,
    records: VecDeque<(Line, usize)>,
}

/// A channel that holds at most `bytes` of lines, which look as `format` says.
#[must_use]
pub fn channel(bytes: usize, format: LogFormat) -> (Sink, Receiver) {
    let waiting = Waiting { format, ..Waiting::default() };
    let channel =
        Arc::new(Channel { waiting: Mutex::new(waiting), capacity: Semaphore::new(bytes), bytes, news: Notify::new() });
    (Sink(Arc::new(Readers { channel: Arc::clone(&channel) })), Receiver { channel, divider: None })
}

impl Sink {
    /// Whether lines from now on name their source.
    pub fn name_sources(&self, many: bool) {
        self.0.channel.waiting().named |= many;
    }

    /// Puts what comes next of a source, and waits for room; false once nobody takes any more. A source is known by its `Arc`.
    pub(crate) async fn put(&self, source: &Arc<LogSource>, line: Line) -> bool {
        self.0.channel.put(source, line).await
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.channel.waiting().over = true;
        self.channel.news.notify_one();
    }
}

impl Receiver {
    /// Waits for a line; false once all readers are gone.
    pub async fn wait(&mut self) -> bool {
        self.channel.until(|waiting| !waiting.turns.is_empty() || waiting.over).await;
        !self.channel.waiting().turns.is_empty()
    }

    /// Waits until a source has a whole record, or all of them half the room, or nothing more comes.
    pub async fn enough(&self) {
        let channel = &self.channel;
        channel.until(|waiting| waiting.over || channel.half_used() || waiting.turns.iter().any(Queue::full)).await;
    }

    /// The next record; `None` once all readers are gone. Nothing is lost where this is cancelled.
    pub async fn next(&mut self) -> Option<Record> {
        if self.wait().await { self.take() } else { None }
    }

    fn take(&mut self) -> Option<Record> {
        let (source, (line, cost), style) = {
            let mut waiting = self.channel.waiting();
            let (source, taken) = waiting.take()?;
            (source, taken, Style { named: waiting.named, format: waiting.format })
        };
        self.channel.capacity.add_permits(cost);
        Some(match line {
            Line::Text(lines) => {
                let divider = self.divider.get_or_insert_default().of(&source);
                Record::lines(&source, lines, style, divider)
            }
            Line::Mark(text) => Record::mark(&source, &text, style),
        })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.channel.capacity.close();
        self.channel.waiting().turns.clear();
    }
}

impl Channel {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn put(&self, source: &Arc<LogSource>, line: Line) -> bool {
        // One that is longer than all of the room has it alone.
        let cost = (line.bytes() + size_of::<Line>()).min(self.bytes);
        let Ok(capacity) = self.capacity.acquire_many(u32::try_from(cost).unwrap_or(u32::MAX)).await else {
            return false;
        };
        let worth_telling = {
            let mut waiting = self.waiting();
            if self.capacity.is_closed() {
                return false;
            }
            capacity.forget();
            let first = waiting.turns.is_empty();
            let full = waiting.put(source, line, cost).full();
            first || full || self.half_used()
        };
        if worth_telling {
            self.news.notify_one();
        }
        true
    }

    async fn until(&self, holds: impl Fn(&Waiting) -> bool) {
        while !holds(&self.waiting()) {
            self.news.notified().await;
        }
    }

    fn half_used(&self) -> bool {
        self.capacity.available_permits() <= self.bytes / 2
    }
}

impl Waiting {
    /// The queue of the source, with the line.
    fn put(&mut self, source: &Arc<LogSource>, line: Line, cost: usize) -> &Queue {
        let known = self.turns.iter().position(|queue| Arc::ptr_eq(&queue.source, source));
        let at = known.unwrap_or_else(|| {
            self.turns.push_back(Queue { source: Arc::clone(source), records: VecDeque::new() });
            self.turns.len() - 1
        });
        let queue = &mut self.turns[at];
        queue.put(line, cost);
        queue
    }

    /// The next record, and what it took of the room. What its source has beyond that waits for its next turn.
    fn take(&mut self) -> Option<(Arc<LogSource>, (Line, usize))> {
        let mut queue = self.turns.pop_front()?;
        let record = queue.records.pop_front()?;
        let source = Arc::clone(&queue.source);
        if !queue.records.is_empty() {
            self.turns.push_back(queue);
        } else if self.turns.is_empty() {
            // Nor is the memory of many sources kept.
            self.turns = VecDeque::new();
        }
        Some((source, record))
    }
}

impl Queue {
    fn put(&mut self, line: Line, cost: usize) {
        let line = match (self.records.back_mut(), line) {
            (Some((Line::Text(last), taken)), Line::Text(next)) => match last.join(next) {
                None => return *taken += cost,
                Some(next) => Line::Text(next),
            },
            (_, line) => line,
        };
        self.records.push_back((line, cost));
    }

    /// Whether it has a whole record.
    fn full(&self) -> bool {
        self.records.len() > 1 || matches!(self.records.front(), Some((Line::Text(lines), _)) if lines.full())
    }
}

impl Line {
    fn bytes(&self) -> usize {
        match self {
            Self::Text(lines) => lines.bytes(),
            Self::Mark(text) => text.len(),
        }
    }
}

#[cfg(test)]
mod tests;
