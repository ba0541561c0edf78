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
    logs::record::{LogLine, Record, Style},
    model::log_position::LogSource,
};

/// More lines in one record bring no further gain in Airflow.
const LINES_A_RECORD: usize = 100;
/// The same in bytes. A longer line is a record of its own.
const BYTES_A_RECORD: usize = 32 << 10;

/// What the log of one container brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Line {
    /// Something it wrote.
    Text(LogLine),
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
    times: bool,
}

struct Channel {
    waiting: Mutex<Waiting>,
    /// In bytes; closed once nobody takes any more.
    room: Semaphore,
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
}

/// Lines of one source, at least one.
struct Queue {
    source: Arc<LogSource>,
    lines: VecDeque<Line>,
    bytes: usize,
}

/// A channel that holds at most `bytes` of lines; `times` puts the time before each line of a record with several.
#[must_use]
pub fn channel(bytes: usize, times: bool) -> (Sink, Receiver) {
    let channel =
        Arc::new(Channel { waiting: Mutex::default(), room: Semaphore::new(bytes), bytes, news: Notify::new() });
    (Sink(Arc::new(Readers { channel: Arc::clone(&channel) })), Receiver { channel, times })
}

impl Sink {
    /// Whether lines from now on name their source.
    pub fn name_sources(&self, many: bool) {
        self.0.channel.waiting().named |= many;
    }

    /// Puts one line; see [`Sink::put_all`].
    pub(crate) async fn put(&self, source: &Arc<LogSource>, line: Line) -> bool {
        self.put_all(source, vec![line]).await
    }

    /// Puts lines of one source in their order, as much at once as a record holds, and waits for room; false once nobody
    /// takes any more. A source is known by its `Arc`.
    pub(crate) async fn put_all(&self, source: &Arc<LogSource>, lines: Vec<Line>) -> bool {
        let channel = &*self.0.channel;
        let mut lines = lines.into_iter().peekable();
        while let Some(first) = lines.next() {
            let (mut bytes, mut cost, mut together) = (first.bytes(), channel.cost(&first), vec![first]);
            while let Some(line) = lines.next_if(|line| {
                together.len() < LINES_A_RECORD
                    && bytes + line.bytes() <= BYTES_A_RECORD
                    && cost + channel.cost(line) <= channel.bytes
            }) {
                bytes += line.bytes();
                cost += channel.cost(&line);
                together.push(line);
            }
            if !channel.put(source, together, cost).await {
                return false;
            }
        }
        true
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
        let channel = &self.channel;
        let (source, taken, style) = {
            let mut waiting = channel.waiting();
            let (source, taken) = waiting.take()?;
            (source, taken, Style { named: waiting.named, times: self.times })
        };
        channel.room.add_permits(taken.iter().map(|line| channel.cost(line)).sum());
        let mut lines = Vec::with_capacity(taken.len());
        for line in taken {
            match line {
                Line::Text(text) => lines.push(text),
                Line::Mark(text) => return Some(Record::mark(&source, &text, style)),
            }
        }
        Some(Record::lines(&source, lines, style))
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.channel.room.close();
        self.channel.waiting().turns.clear();
    }
}

impl Channel {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for so much room and puts these lines into it.
    async fn put(&self, source: &Arc<LogSource>, lines: Vec<Line>, cost: usize) -> bool {
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        let Ok(room) = self.room.acquire_many(cost).await else { return false };
        let worth_telling = {
            let mut waiting = self.waiting();
            if self.room.is_closed() {
                return false;
            }
            room.forget();
            let first = waiting.turns.is_empty();
            let full = waiting.put(source, lines).full();
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

    /// What a line takes of the room; one that is longer than all of it has it alone.
    fn cost(&self, line: &Line) -> usize {
        (line.bytes() + size_of::<Line>()).min(self.bytes)
    }

    fn half_used(&self) -> bool {
        self.room.available_permits() <= self.bytes / 2
    }
}

impl Waiting {
    /// The queue of the source, with the lines.
    fn put(&mut self, source: &Arc<LogSource>, lines: Vec<Line>) -> &Queue {
        let known = self.turns.iter().position(|queue| Arc::ptr_eq(&queue.source, source));
        let at = known.unwrap_or_else(|| {
            self.turns.push_back(Queue { source: Arc::clone(source), lines: VecDeque::new(), bytes: 0 });
            self.turns.len() - 1
        });
        let queue = &mut self.turns[at];
        queue.bytes += lines.iter().map(Line::bytes).sum::<usize>();
        queue.lines.extend(lines);
        queue
    }

    /// The lines of the next record: a mark, or text. What its source has beyond that waits for its next turn.
    fn take(&mut self) -> Option<(Arc<LogSource>, Vec<Line>)> {
        let mut queue = self.turns.pop_front()?;
        let lines = queue.lines.drain(..queue.of_one_record()).collect::<Vec<_>>();
        queue.bytes -= lines.iter().map(Line::bytes).sum::<usize>();
        let source = Arc::clone(&queue.source);
        if !queue.lines.is_empty() {
            self.turns.push_back(queue);
        } else if self.turns.is_empty() {
            // Nor is the memory of many sources kept.
            self.turns = VecDeque::new();
        }
        Some((source, lines))
    }
}

impl Queue {
    /// Whether it has a whole record.
    fn full(&self) -> bool {
        self.lines.len() >= LINES_A_RECORD || self.bytes >= BYTES_A_RECORD
    }

    /// How many of its first lines are one record.
    fn of_one_record(&self) -> usize {
        let mut bytes = 0;
        let fits = |line: &&Line| {
            bytes += line.bytes();
            matches!(line, Line::Text(_)) && bytes <= BYTES_A_RECORD
        };
        self.lines.iter().take(LINES_A_RECORD).take_while(fits).count().max(1)
    }
}

impl Line {
    fn bytes(&self) -> usize {
        match self {
            Self::Text(LogLine { stamp, text, .. }) => stamp.len() + text.len(),
            Self::Mark(text) => text.len(),
        }
    }
}

#[cfg(test)]
mod tests;
