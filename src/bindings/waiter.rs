//! `Waiter`: one deferred Job, as a coroutine of the triggerer holds it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    asyncio::awaitable,
    cluster::Cluster,
    errors::raised,
    events::as_dict,
    held::{Held, Task},
    loop_waker::LoopWaker,
    runtime,
};
use crate::{
    model::{handoff::Handoff, message::Message},
    session::{Event, Session},
};
use pyo3::{
    exceptions::PyStopIteration,
    prelude::*,
    types::{PyDict, PyList},
};

#[pyclass(frozen, module = "unique_k8s_job._core")]
pub(super) struct Waiter {
    session: Held<Session>,
    /// What its deletion says. Not in the outbox of the session, which may hold lines that nobody takes any more.
    said: Arc<Mutex<Vec<Message>>>,
}

#[pymethods]
impl Waiter {
    #[new]
    fn new(py: Python<'_>, cluster: &Cluster, request: &str) -> PyResult<Self> {
        let waiter = runtime::done(py, || Ok(Session::follow(cluster.shared_watches()?, Handoff::read(request)?)))?;
        Ok(Self { session: Held::new("Waiter", waiter), said: Arc::default() })
    }

    #[pyo3(signature = (timeout=None))]
    fn next(&self, py: Python<'_>, timeout: Option<f64>) -> PyResult<Next> {
        let timeout = timeout.map(runtime::seconds);
        Ok(Next { waiter: self.session.get(py)?, timeout, step: Mutex::default() })
    }

    #[pyo3(signature = (confirm_for=60.0))]
    fn delete<'py>(&self, py: Python<'py>, confirm_for: f64) -> PyResult<Bound<'py, PyAny>> {
        let waiter = self.session.get(py)?;
        let within = runtime::seconds(confirm_for);
        let said = Arc::clone(&self.said);
        let tell = move |message| said.lock().unwrap_or_else(PoisonError::into_inner).push(message);
        // It has its Job, so there is something to say.
        awaitable(py, async move { waiter.delete(within, &tell).await.map(Option::unwrap_or_default) })
    }

    fn said<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let said = std::mem::take(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner));
        let list = PyList::empty(py);
        for message in said {
            list.append(as_dict(py, Event::Message(message))?)?;
        }
        Ok(list)
    }

    fn store_positions<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let waiter = self.session.get(py)?;
        awaitable(py, async move {
            waiter.store_positions().await;
            Ok(())
        })
    }

    fn close(&self) {
        if let Some(waiter) = self.session.here() {
            waiter.close();
        }
    }
}

/// What `await waiter.next()` awaits. Events leave the waiter only as the coroutine goes on: where it is cancelled
/// instead, the next call has them.
#[pyclass(frozen, module = "unique_k8s_job._core")]
struct Next {
    waiter: Arc<Session>,
    timeout: Option<Duration>,
    step: Mutex<Step>,
}

#[derive(Default)]
enum Step {
    #[default]
    First,
    /// There are events; others had their turn.
    Yielded,
    /// The iterator of an `asyncio.Future` that a [`LoopWaker`] sets.
    Waiting(Py<PyAny>, Option<Alarm>),
}

/// Wakes at the end of a timeout, unless it is dropped before.
type Alarm = Held<Task<()>>;

#[pymethods]
impl Next {
    fn __await__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __iter__(this: Bound<'_, Self>) -> Bound<'_, Self> {
        this
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let step = std::mem::take(&mut *self.step());
        match step {
            Step::First => self.wait(py),
            Step::Yielded => Err(self.taken(py)),
            Step::Waiting(future, alarm) => match future.call_method0(py, "__next__") {
                Ok(again) => {
                    *self.step() = Step::Waiting(future, alarm);
                    Ok(again.into_bound(py))
                }
                Err(end) if end.is_instance_of::<PyStopIteration>(py) => Err(self.taken(py)),
                Err(error) => Err(error),
            },
        }
    }
}

impl Next {
    fn step(&self) -> std::sync::MutexGuard<'_, Step> {
        self.step.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let event_loop = py.import("asyncio")?.call_method0("get_running_loop")?;
        let future = event_loop.call_method0("create_future")?;
        let wake_ups = runtime::done(py, runtime::wake_ups)?;
        let waker = Waker::from(LoopWaker::new(wake_ups, event_loop.unbind(), future.clone().unbind()));
        let runtime = runtime::done(py, runtime::runtime)?;
        match self.waiter.poll_ready(&mut Context::from_waker(&waker), runtime.handle()) {
            // A bare `yield`: whoever always has events lets others have their turn all the same.
            Poll::Ready(()) => {
                *self.step() = Step::Yielded;
                Ok(py.None().into_bound(py))
            }
            Poll::Pending => {
                let steps = future.call_method0("__await__")?;
                let first = steps.call_method0("__next__")?;
                let alarm = self.timeout.map(|timeout| {
                    let task = runtime.spawn(async move {
                        tokio::time::sleep(timeout).await;
                        waker.wake();
                    });
                    Held::new("Waiter", Task(task))
                });
                *self.step() = Step::Waiting(steps.unbind(), alarm);
                Ok(first)
            }
        }
    }

    /// The end of the iteration, which carries what `await` returns; or the error.
    fn taken(&self, py: Python<'_>) -> PyErr {
        let list = PyList::empty(py);
        for event in self.waiter.take() {
            let appended = match event {
                Ok(event) => as_dict(py, event).and_then(|event: Bound<'_, PyDict>| list.append(event)),
                Err(error) => Err(raised(py, &error)),
            };
            if let Err(error) = appended {
                return error;
            }
        }
        PyStopIteration::new_err((list.unbind(),))
    }
}
