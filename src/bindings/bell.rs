//! Wakes the coroutines of an asyncio loop from Rust threads: many at once, few times.
//!
//! Promise: the first wake-up after silence goes out at once; those that follow are gathered for [`GATHER`], at most
//! [`AT_ONCE`] of them, in the order in which they came, so that no burst holds up the loop. A loop that was closed
//! meanwhile is passed over. pyo3-async-runtimes wakes each future by a call of its own, which costs a thousand waiters
//! a thousand wake-ups of the loop.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::Wake,
    time::Duration,
};

use pyo3::prelude::*;
use tokio::sync::Notify;

use super::runtime;

/// How long wake-ups are gathered after the last one: a wake-up of the loop takes some 0.1 ms, so at most 2 % of a core.
const GATHER: Duration = Duration::from_millis(5);
/// At most this many coroutines are woken at once; each goes on for some 0.1 ms.
const AT_ONCE: usize = 32;

/// Who is to be woken, in order.
#[derive(Default)]
pub(super) struct Bell {
    queue: Mutex<VecDeque<Arc<Call>>>,
    rung: Notify,
    started: OnceLock<()>,
}

/// One coroutine that waits in one loop.
pub(super) struct Call {
    bell: &'static Bell,
    event_loop: Py<PyAny>,
    /// An `asyncio.Future` of that loop.
    future: Py<PyAny>,
}

impl Call {
    /// For a coroutine that is about to await this future of its loop.
    pub fn new(bell: &'static Bell, event_loop: Py<PyAny>, future: Py<PyAny>) -> Arc<Self> {
        bell.started.get_or_init(|| {
            runtime::started().spawn(bell.run());
        });
        Arc::new(Self { bell, event_loop, future })
    }
}

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        let bell = self.bell;
        bell.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(self);
        bell.rung.notify_one();
    }
}

impl Bell {
    async fn run(&self) {
        loop {
            self.rung.notified().await;
            loop {
                let calls: Vec<_> = {
                    let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                    let count = queue.len().min(AT_ONCE);
                    queue.drain(..count).collect()
                };
                if calls.is_empty() {
                    break;
                }
                let ringing = runtime::started().spawn_blocking(move || Python::try_attach(|py| ring(py, calls)));
                // A panic in there loses these wake-ups, not the bell.
                let _ = ringing.await;
                tokio::time::sleep(GATHER).await;
            }
        }
    }
}

fn ring(py: Python<'_>, calls: Vec<Arc<Call>>) {
    let mut by_loop: Vec<(Py<PyAny>, Vec<Arc<Call>>)> = Vec::new();
    for call in calls {
        match by_loop.iter_mut().find(|(event_loop, _)| event_loop.is(&call.event_loop)) {
            Some((_, calls)) => calls.push(call),
            None => by_loop.push((call.event_loop.clone_ref(py), vec![call])),
        }
    }
    for (event_loop, calls) in by_loop {
        // Refused by a loop that is closed: nobody waits in it any more.
        let _ = Ring(Mutex::new(calls))
            .into_pyobject(py)
            .and_then(|ring| event_loop.call_method1(py, "call_soon_threadsafe", (ring,)));
    }
}

/// What runs in the loop.
#[pyclass(frozen, module = "unique_k8s_job._core")]
struct Ring(Mutex<Vec<Arc<Call>>>);

#[pymethods]
impl Ring {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let calls = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for call in calls {
            let future = call.future.bind(py);
            if !future.call_method0("done")?.extract::<bool>()? {
                future.call_method1("set_result", (py.None(),))?;
            }
        }
        Ok(())
    }
}
