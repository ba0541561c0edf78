//! Wakes the coroutines of an asyncio loop from Rust threads: many at once, few times.
//!
//! Promise: the first wake-up after silence goes out at once; those that follow are gathered for [`GATHER`], at most
//! [`AT_ONCE`] of them, in the order in which they came, so that no burst holds up the loop. A loop that was closed
//! meanwhile is passed over. `docs/architecture.md` says why this is not the bridge of pyo3-async-runtimes in `asyncio`.

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

/// The coroutines that are to be woken, in order.
#[derive(Default)]
pub(super) struct WakeUps {
    queue: Mutex<VecDeque<Arc<LoopWaker>>>,
    added: Notify,
    started: OnceLock<()>,
}

/// Wakes one coroutine that waits in one loop.
pub(super) struct LoopWaker {
    wake_ups: &'static WakeUps,
    event_loop: Py<PyAny>,
    /// An `asyncio.Future` of that loop.
    future: Py<PyAny>,
}

impl LoopWaker {
    /// For a coroutine that is about to await this future of its loop.
    pub fn new(wake_ups: &'static WakeUps, event_loop: Py<PyAny>, future: Py<PyAny>) -> Arc<Self> {
        wake_ups.started.get_or_init(|| {
            runtime::started().spawn(wake_ups.run());
        });
        Arc::new(Self { wake_ups, event_loop, future })
    }
}

impl Wake for LoopWaker {
    fn wake(self: Arc<Self>) {
        let wake_ups = self.wake_ups;
        wake_ups.queue.lock().unwrap_or_else(PoisonError::into_inner).push_back(self);
        wake_ups.added.notify_one();
    }
}

impl WakeUps {
    async fn run(&self) {
        loop {
            self.added.notified().await;
            loop {
                let wakers: Vec<_> = {
                    let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
                    let count = queue.len().min(AT_ONCE);
                    queue.drain(..count).collect()
                };
                if wakers.is_empty() {
                    break;
                }
                let waking = runtime::started().spawn_blocking(move || runtime::in_python(|py| wake(py, wakers)));
                // A panic in there loses these wake-ups, and no later ones.
                let _ = waking.await;
                tokio::time::sleep(GATHER).await;
            }
        }
    }
}

fn wake(py: Python<'_>, wakers: Vec<Arc<LoopWaker>>) {
    let mut by_loop: Vec<(Py<PyAny>, Vec<Arc<LoopWaker>>)> = Vec::new();
    for waker in wakers {
        match by_loop.iter_mut().find(|(event_loop, _)| event_loop.is(&waker.event_loop)) {
            Some((_, wakers)) => wakers.push(waker),
            None => by_loop.push((waker.event_loop.clone_ref(py), vec![waker])),
        }
    }
    for (event_loop, wakers) in by_loop {
        // Refused by a loop that is closed: nobody waits in it any more.
        let _ = WakeUpBatch(Mutex::new(wakers))
            .into_pyobject(py)
            .and_then(|batch| event_loop.call_method1(py, "call_soon_threadsafe", (batch,)));
    }
}

/// What runs in the loop.
#[pyclass(frozen, module = "unique_k8s_job._core")]
struct WakeUpBatch(Mutex<Vec<Arc<LoopWaker>>>);

#[pymethods]
impl WakeUpBatch {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let wakers = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for waker in wakers {
            let future = waker.future.bind(py);
            if !future.call_method0("done")?.extract::<bool>()? {
                future.call_method1("set_result", (py.None(),))?;
            }
        }
        Ok(())
    }
}
