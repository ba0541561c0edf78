//! The debug log of the core on its way to a Python logger.
//!
//! Promise: off until [`begin_debug_log`]; nobody who writes a line waits, neither for the GIL nor for a handler: lines
//! wait in a queue of this process, at most [`ROOM`] of them, and a thread of the runtime hands them over. What finds the
//! queue full is dropped, counted and told. A forked child has a queue of its own, and hands over none of its parent's
//! lines. Only our own targets are heard: the libraries below us write URLs.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use pyo3::{exceptions::PyValueError, prelude::*, sync::PyOnceLock};
use tokio::sync::Notify;
use tracing::{level_filters::LevelFilter, subscriber};
use tracing_subscriber::{
    Registry,
    filter::Targets,
    fmt::{self, MakeWriter},
    layer::SubscriberExt as _,
    reload,
};

use super::runtime;

/// So many lines wait at most: a second or two of a busy process.
const ROOM: usize = 4096;
/// So many are handed over at once, so that the GIL is given back in between.
const AT_ONCE: usize = 128;
/// Between two looks whether all is handed over.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The level of the whole process, and of its forked children.
static LEVEL: OnceLock<reload::Handle<Targets, Registry>> = OnceLock::new();
/// Takes a list of pairs: seconds since 1970, and the line.
static TAKES: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

type Line = (f64, String);

/// The lines of one process.
#[derive(Default)]
pub(super) struct Outbox {
    queue: Mutex<Queue>,
    written: Notify,
    started: AtomicBool,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Line>,
    dropped: usize,
    /// Lines that were taken are being handed over.
    under_way: bool,
}

impl Queue {
    fn push(&mut self, line: String) {
        if self.lines.len() < ROOM {
            self.lines.push_back((now(), line));
        } else {
            self.dropped += 1;
        }
    }

    /// The oldest lines; after the last of them what was dropped behind it.
    fn take(&mut self) -> Vec<Line> {
        let count = self.lines.len().min(AT_ONCE);
        let mut lines: Vec<_> = self.lines.drain(..count).collect();
        if self.lines.is_empty() && self.dropped > 0 {
            let dropped = std::mem::take(&mut self.dropped);
            lines.push((
                now(),
                format!("{dropped} lines of the debug log were dropped: they came faster than they were taken"),
            ));
        }
        self.under_way = !lines.is_empty();
        lines
    }

    /// Whether every line was handed over.
    fn is_done(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0 && !self.under_way
    }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

impl Outbox {
    fn push(&'static self, line: String) {
        self.queue().push(line);
        if !self.started.swap(true, Ordering::AcqRel) {
            runtime::started().spawn(self.run());
        }
        self.written.notify_one();
    }

    async fn run(&'static self) {
        loop {
            self.written.notified().await;
            // A panic in there loses these lines, not the log.
            let _ = runtime::started().spawn_blocking(|| self.deliver()).await;
        }
    }

    fn deliver(&self) {
        loop {
            let lines = self.queue().take();
            if lines.is_empty() {
                return;
            }
            // Nobody is there to take them where the interpreter ends.
            runtime::in_python(|py| {
                if let Some(takes) = TAKES.get(py)
                    && let Err(error) = takes.call1(py, (lines,))
                {
                    error.write_unraisable(py, None);
                }
            });
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes one line, of which the formatter makes one `write`.
struct Writer;

impl io::Write for Writer {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        // Where this process has no runtime yet, nothing of it can be at work.
        if let Some(outbox) = runtime::debug_log() {
            outbox.push(String::from_utf8_lossy(text).trim_end().to_owned());
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Writer {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

fn targets(level: LevelFilter) -> Targets {
    Targets::new().with_target(env!("CARGO_CRATE_NAME"), level)
}

/// From now on what the core does is told to `takes`, which must not raise; `level` is "off", "debug" or "trace".
#[pyfunction]
pub(super) fn begin_debug_log(py: Python<'_>, level: &str, takes: Py<PyAny>) -> PyResult<()> {
    let level = match level {
        "off" => LevelFilter::OFF,
        "debug" => LevelFilter::DEBUG,
        "trace" => LevelFilter::TRACE,
        _ => return Err(PyValueError::new_err("a level is off, debug or trace")),
    };
    TAKES.get_or_init(py, || takes);
    let mut first = false;
    let handle = LEVEL.get_or_init(|| {
        first = true;
        let (filter, handle) = reload::Layer::new(targets(level));
        let format =
            fmt::layer().with_writer(Writer).with_ansi(false).without_time().with_level(false).with_target(false);
        // Refused where somebody else in this process listens already, who then hears us, too.
        let _ = subscriber::set_global_default(Registry::default().with(filter).with(format));
        handle
    });
    if !first {
        // Fails where the subscriber is gone, and with it all that could be heard.
        let _ = handle.reload(targets(level));
    }
    Ok(())
}

/// Waits until each line that was written before is handed over, at most so many seconds.
#[pyfunction]
pub(super) fn flush_debug_log(py: Python<'_>, within: f64) {
    let Some(outbox) = runtime::debug_log() else { return };
    let end = Instant::now() + Duration::try_from_secs_f64(within.max(0.0)).unwrap_or_default();
    while !outbox.queue().is_done() && Instant::now() < end {
        py.detach(|| std::thread::sleep(LOOK_EVERY));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_queue_drops_counts_and_says_so_once() {
        let mut queue = Queue::default();
        for number in 0..ROOM + 7 {
            queue.push(number.to_string());
        }
        let mut taken = Vec::new();
        loop {
            let lines = queue.take();
            if lines.is_empty() {
                break;
            }
            assert!(lines.len() <= AT_ONCE + 1);
            taken.extend(lines.into_iter().map(|(_, line)| line));
        }
        assert_eq!(taken.len(), ROOM + 1);
        assert_eq!(taken[ROOM - 1], (ROOM - 1).to_string());
        assert!(taken[ROOM].starts_with("7 lines of the debug log were dropped"));
    }
}
