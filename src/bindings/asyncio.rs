//! Rust futures as Python awaitables, on the runtime of this process and never on one that a crate keeps for itself.

use std::{
    cell::OnceCell,
    pin::Pin,
    task::{Context, Poll},
};

use pyo3::{exceptions::PyRuntimeError, prelude::*};
use pyo3_async_runtimes::{
    TaskLocals,
    generic::{self, ContextExt, JoinError, Runtime},
};
use tokio::task::JoinHandle;

use super::{errors::raised, runtime};
use crate::error::Error;

/// The awaitable of work that goes on to its end also where nobody awaits it any more.
pub(super) fn awaitable<'py, T>(
    py: Python<'py>,
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>>
where
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    let task = runtime::spawn(work).map_err(|error| raised(py, &error))?;
    generic::future_into_py::<OfThisProcess, _, T>(py, async move {
        let end = task.await.unwrap_or_else(|lost| Err(Error::lost(&lost)));
        end.map_err(|error| {
            runtime::in_python(|py| raised(py, &error))
                .unwrap_or_else(|| PyRuntimeError::new_err("the interpreter is ending"))
        })
    })
}

tokio::task_local! {
    static LOCALS: OnceCell<TaskLocals>;
}

/// The runtime of this process, which a forked child builds anew.
struct OfThisProcess;

struct Lost(tokio::task::JoinError);

impl JoinError for Lost {
    fn is_panic(&self) -> bool {
        self.0.is_panic()
    }

    fn into_panic(self) -> Box<dyn std::any::Any + Send + 'static> {
        self.0.into_panic()
    }
}

struct Handle(JoinHandle<()>);

impl Future for Handle {
    type Output = Result<(), Lost>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(Lost)
    }
}

impl Runtime for OfThisProcess {
    type JoinError = Lost;
    type JoinHandle = Handle;

    fn spawn<F: Future<Output = ()> + Send + 'static>(work: F) -> Handle {
        Handle(runtime::started().spawn(work))
    }

    fn spawn_blocking<F: FnOnce() + Send + 'static>(work: F) -> Handle {
        Handle(runtime::started().spawn_blocking(|| {
            runtime::inside(work);
        }))
    }
}

impl ContextExt for OfThisProcess {
    fn scope<F, R>(locals: TaskLocals, work: F) -> Pin<Box<dyn Future<Output = R> + Send>>
    where
        F: Future<Output = R> + Send + 'static,
    {
        Box::pin(LOCALS.scope(OnceCell::from(locals), work))
    }

    fn get_task_locals() -> Option<TaskLocals> {
        LOCALS.try_with(|locals| locals.get().cloned()).unwrap_or_default()
    }
}
