//! What Python holds of this process: a handle whose tasks, sockets and locks are of the process that made it.
//!
//! Promise: in a forked child it is refused with the name of its class, or passed over where a call must not fail; and
//! dropping it there touches nothing, since its threads do not exist there.

use std::sync::Arc;

use pyo3::prelude::*;

use super::errors::raised;
use crate::error::Error;

pub(super) struct Held<T> {
    value: Arc<T>,
    class: &'static str,
    pid: u32,
}

impl<T> Held<T> {
    /// Made by the constructor of this class of Python, or for it.
    pub fn new(class: &'static str, value: T) -> Self {
        Self { value: Arc::new(value), class, pid: std::process::id() }
    }

    /// For a call that fails in a forked child.
    pub fn get(&self, py: Python<'_>) -> PyResult<Arc<T>> {
        let value = self.here().map(Arc::clone);
        value.ok_or_else(|| {
            let error = format!("{} was used in a process forked from the one that made it", self.class);
            raised(py, &Error::internal(error))
        })
    }

    /// For a call that does nothing in a forked child.
    pub fn here(&self) -> Option<&Arc<T>> {
        (self.pid == std::process::id()).then_some(&self.value)
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        if self.here().is_none() {
            std::mem::forget(Arc::clone(&self.value));
        }
    }
}

/// A task that ends with its handle.
pub(super) struct Task<T>(pub tokio::task::JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
