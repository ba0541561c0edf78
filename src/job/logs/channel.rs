//! Hands lines from the readers of all containers to the one who writes them down.
//!
//! Promise: at most so many bytes wait (a reader with more waits, too), the lines of a container stay in order, and
//! what waits together goes out together: one record of many lines costs Airflow a hundredth of many records.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};

use super::{LogSource, Position, SourcePosition};

/// More lines in one record bring no further gain in Airflow.
const LINES_A_RECORD: usize = 100;
/// The same in bytes.
const BYTES_A_RECORD: usize = 32 << 10;

/// What the log of one container brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Something it wrote.
    /// `whole` where it is not a piece of a longer line; `position` is how far the log is delivered with it.
    Text { stamp: String, text: String, whole: bool, position: Position },
    /// Our own words at this place of its log.
    Mark(String),
}

/// One entry for the task log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The Pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// One line, or several with their times before them. Where a Job has several sources, each begins with its own.
    pub text: String,
    /// How many lines of the container are in it.
    pub lines: usize,
    /// The time of its only line, as the kubelet wrote it.
    pub timestamp: Option<String>,
    /// Whether this is not the container's text but a mark about its log.
    pub mark: bool,
    /// How far its log is delivered once this record is; none for a mark.
    pub position: Option<SourcePosition>,
}

struct Item {
    source: Arc<LogSource>,
    line: Line,
    _room: OwnedSemaphorePermit,
}

/// What waits to be taken.
#[derive(Default)]
struct Load {
    lines: AtomicUsize,
    bytes: AtomicUsize,
    enough: Notify,
}

/// Where readers put lines.
#[derive(Clone)]
pub struct Sink {
    items: mpsc::UnboundedSender<Item>,
    room: Arc<Semaphore>,
    bytes: usize,
    many: Arc<AtomicBool>,
    load: Arc<Load>,
}

/// Where records come out.
pub struct Receiver {
    items: mpsc::UnboundedReceiver<Item>,
    /// Taken, but of another source than the record it was to join.
    held: Option<Item>,
    many: Arc<AtomicBool>,
    load: Arc<Load>,
    times: bool,
}

/// A channel that holds at most `bytes` of text; `times` puts the time before each line of a record with several.
#[must_use]
pub fn channel(bytes: usize, times: bool) -> (Sink, Receiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let many = Arc::new(AtomicBool::new(false));
    let load = Arc::<Load>::default();
    let room = Arc::new(Semaphore::new(bytes));
    let sink = Sink { items: sender, room, bytes, many: Arc::clone(&many), load: Arc::clone(&load) };
    (sink, Receiver { items: receiver, held: None, many, load, times })
}

impl Sink {
    /// Whether lines from now on name their source.
    pub fn name_sources(&self, many: bool) {
        self.many.fetch_or(many, Ordering::Relaxed);
    }

    /// Waits for room; false once nobody takes any more.
    pub(super) async fn put(&self, source: &Arc<LogSource>, line: Line) -> bool {
        let size = line.size();
        let cost = u32::try_from((size + size_of::<Item>()).min(self.bytes)).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(cost).await else { return false };
        let lines = self.load.lines.fetch_add(1, Ordering::Relaxed) + 1;
        let bytes = self.load.bytes.fetch_add(size, Ordering::Relaxed) + size;
        if lines >= LINES_A_RECORD || bytes >= BYTES_A_RECORD {
            self.load.enough.notify_one();
        }
        self.items.send(Item { source: Arc::clone(source), line, _room: room }).is_ok()
    }
}

impl Line {
    fn size(&self) -> usize {
        match self {
            Self::Text { stamp, text, .. } => stamp.len() + text.len(),
            Self::Mark(text) => text.len(),
        }
    }
}

impl Load {
    fn full(&self) -> bool {
        let (lines, bytes) = (self.lines.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        lines >= LINES_A_RECORD || bytes >= BYTES_A_RECORD
    }

    fn taken(&self, line: &Line) {
        self.lines.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(line.size(), Ordering::Relaxed);
    }
}

impl Receiver {
    /// Waits for a line; false once all readers are gone.
    pub async fn wait(&mut self) -> bool {
        if self.held.is_none() {
            self.held = self.items.recv().await;
        }
        self.held.is_some()
    }

    /// Waits until as much is there as one record takes.
    pub async fn enough(&self) {
        while !self.load.full() {
            self.load.enough.notified().await;
        }
    }

    /// The next record; `None` once all readers are gone. Nothing is lost where this is cancelled.
    pub async fn next(&mut self) -> Option<Record> {
        let first = match self.held.take() {
            Some(item) => item,
            None => self.items.recv().await?,
        };
        Some(self.record(first))
    }

    fn record(&mut self, first: Item) -> Record {
        let prefix = if self.many.load(Ordering::Relaxed) { prefix(&first.source) } else { String::new() };
        let source = Arc::clone(&first.source);
        self.load.taken(&first.line);
        let record = |text, lines, timestamp, mark, position: Option<Position>| Record {
            pod: source.pod.clone(),
            container: source.container.clone(),
            text,
            lines,
            timestamp,
            mark,
            position: position.map(|position| SourcePosition {
                pod: source.pod_uid.clone(),
                container: source.container.clone(),
                position,
            }),
        };
        let (stamp, text, whole, mut until) = match first.line {
            Line::Mark(text) => return record(format!("{prefix}{text}"), 0, None, true, None),
            Line::Text { stamp, text, whole, position } => (stamp, text, whole, position),
        };
        let mut lines = vec![(stamp, text)];
        let mut bytes = lines[0].1.len();
        while lines.len() < LINES_A_RECORD && bytes < BYTES_A_RECORD {
            match self.items.try_recv() {
                Ok(Item { source: same, line: line @ Line::Text { .. }, _room }) if same == source => {
                    self.load.taken(&line);
                    let Line::Text { stamp, text, position, .. } = line else { unreachable!("matched above") };
                    bytes += text.len();
                    until = position;
                    lines.push((stamp, text));
                }
                Ok(other) => {
                    self.held = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        if let [(stamp, text)] = lines.as_mut_slice() {
            // Pieces of a long line may be equal, and Airflow shows one of records with equal time and text.
            let timestamp = whole.then(|| std::mem::take(stamp));
            return record(format!("{prefix}{text}"), 1, timestamp, false, Some(until));
        }
        let count = lines.len();
        let mut together = String::with_capacity(bytes + count * (prefix.len() + 16));
        for (number, (stamp, text)) in lines.iter().enumerate() {
            if number > 0 {
                together.push('\n');
            }
            together.push_str(&prefix);
            if self.times {
                together.push_str(time_of_day(stamp));
                together.push(' ');
            }
            together.push_str(text);
        }
        record(together, count, None, false, Some(until))
    }
}

/// `[x2x9q/base] `: the end of the Pod's name that the Job controller made up, and the container.
fn prefix(source: &LogSource) -> String {
    let suffix = source.pod.rsplit('-').next().unwrap_or(&source.pod);
    format!("[{suffix}/{}] ", source.container)
}

/// `06:00:00.123` of `2026-01-01T06:00:00.123456789Z`.
fn time_of_day(stamp: &str) -> &str {
    stamp.get(11..23).unwrap_or(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(pod: &str) -> Arc<LogSource> {
        let text = str::to_owned;
        Arc::new(LogSource { namespace: text("etl"), pod: text(pod), pod_uid: text(pod), container: text("base") })
    }

    fn line(number: u32) -> Line {
        Line::Text {
            stamp: format!("2026-01-01T06:00:00.{number:03}456789Z"),
            text: format!("line {number}"),
            whole: true,
            position: Position { delivered: Some(number.into()), ..Position::default() },
        }
    }

    #[tokio::test]
    async fn single_line_keeps_its_timestamp_and_lines_that_wait_together_share_a_record() {
        let (sink, mut receiver) = channel(1 << 20, true);
        let pod = source("train-abc");
        sink.put(&pod, line(1)).await;
        let record = receiver.next().await.unwrap();
        assert_eq!(
            (record.text.as_str(), record.timestamp.as_deref()),
            ("line 1", Some("2026-01-01T06:00:00.001456789Z"))
        );
        for number in 2..4 {
            sink.put(&pod, line(number)).await;
        }
        let record = receiver.next().await.unwrap();
        assert_eq!((record.lines, record.timestamp), (2, None));
        assert_eq!(record.position.unwrap().position.delivered, Some(3));
        assert_eq!(record.text, "06:00:00.002 line 2\n06:00:00.003 line 3");
    }

    #[tokio::test]
    async fn several_sources_are_named_and_never_mixed_in_one_record() {
        let (sink, mut receiver) = channel(1 << 20, false);
        sink.name_sources(true);
        sink.put(&source("train-abc"), line(1)).await;
        sink.put(&source("train-xyz"), line(2)).await;
        drop(sink);
        assert_eq!(receiver.next().await.unwrap().text, "[abc/base] line 1");
        assert_eq!(receiver.next().await.unwrap().text, "[xyz/base] line 2");
        assert_eq!(receiver.next().await, None);
    }

    #[tokio::test]
    async fn reader_waits_while_there_is_no_room() {
        let line_cost = size_of::<Item>() + "2026-01-01T06:00:00.001456789Z".len() + "line 1".len();
        let (sink, mut receiver) = channel(3 * line_cost, false);
        let pod = source("train-abc");
        for number in 0..3 {
            assert!(sink.put(&pod, line(number)).await);
        }
        let full = sink.put(&pod, line(3));
        let mut full = std::pin::pin!(full);
        assert!(futures::poll!(&mut full).is_pending());
        assert_eq!(receiver.next().await.unwrap().lines, 3);
        assert!(full.await);
    }

    #[tokio::test]
    async fn piece_of_a_long_line_has_no_timestamp_by_which_equal_ones_would_be_dropped() {
        let (sink, mut receiver) = channel(1 << 20, true);
        let Line::Text { stamp, text, position, .. } = line(1) else { unreachable!() };
        sink.put(&source("train-abc"), Line::Text { stamp, text, whole: false, position }).await;
        assert_eq!(receiver.next().await.unwrap().timestamp, None);
    }

    #[tokio::test]
    async fn record_has_at_most_a_hundred_lines() {
        let (sink, mut receiver) = channel(1 << 20, true);
        for number in 0..150 {
            sink.put(&source("train-abc"), line(number)).await;
        }
        assert_eq!(receiver.next().await.unwrap().lines, 100);
        assert_eq!(receiver.next().await.unwrap().lines, 50);
    }
}
