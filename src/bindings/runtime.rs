//! A tokio runtime and the cluster connections of this process, safe across `fork()`.
//!
//! Both live in one leaked slot per process id, found without a lock: threads and sockets of a parent do not
//! exist in its forked child, so the child builds its own slot and never drops the inherited one.
//! Airflow forks every task process, some of them after they imported us.
//!
//! A thread of ours enters Python by [`in_python`] alone, because an interpreter that ends kills a thread that waits for
//! its GIL: [`leave_python`], which Python calls before it ends, waits for those that are inside and lets no other in.

#![allow(unsafe_code, reason = "the slot is a leaked box behind an atomic pointer")]

use std::{
    collections::HashMap,
    ptr,
    sync::{
        Arc, Mutex, PoisonError, RwLock, TryLockError,
        atomic::{AtomicBool, AtomicPtr, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use pyo3::prelude::*;
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

use super::{debug_log, errors::raised, held::Task, loop_waker::WakeUps};
use crate::{
    cluster::{Cluster, Configuration, Timing},
    error::Error,
    follow::shared_watch::Hubs,
    logs::LogQuota,
    panics,
    session::waiter::SharedWatches,
};

/// Signals are served this often while a call waits.
const SLICE: Duration = Duration::from_millis(50);
/// The work is waiting, and the GIL is the limit for what Python takes. A second one is woken, and takes the tasks of a
/// connection from the first one, thousands of times a second while a log comes fast: that costs more than it brings.
const WORKER_THREADS: usize = 1;
const MAX_BLOCKING_THREADS: usize = 8;
/// How long the end of the interpreter waits for threads of ours: a wake-up of a loop takes some 0.1 ms.
const LEFT_WITHIN: Duration = Duration::from_secs(2);

/// Everything that belongs to one process.
struct Slot {
    pid: u32,
    runtime: Runtime,
    clusters: Mutex<HashMap<Configuration, Arc<Hubs>>>,
    quota: Arc<LogQuota>,
    wake_ups: WakeUps,
    debug_log: debug_log::Outbox,
    /// Whether the interpreter ends, so that no thread of ours enters Python any more.
    ending: AtomicBool,
    /// Read by each thread of ours that is inside of Python.
    inside: RwLock<()>,
}

static SLOT: AtomicPtr<Slot> = AtomicPtr::new(ptr::null_mut());

/// That of this process, if it was built; else what was seen instead.
fn built() -> Result<&'static Slot, *mut Slot> {
    let seen = SLOT.load(Ordering::Acquire);
    // SAFETY: a slot is a leaked box: valid as long as the process and its children.
    unsafe { seen.as_ref() }.filter(|slot| slot.pid == std::process::id()).ok_or(seen)
}

fn slot() -> Result<&'static Slot, Error> {
    let seen = match built() {
        Ok(slot) => return Ok(slot),
        Err(seen) => seen,
    };
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .max_blocking_threads(MAX_BLOCKING_THREADS)
        .thread_name("unique-k8s-job")
        .enable_all()
        .build()
        .map_err(|error| Error::internal(format!("no threads for the runtime: {error}")))?;
    let fresh = Box::into_raw(Box::new(Slot {
        pid: std::process::id(),
        runtime,
        clusters: Mutex::default(),
        quota: Arc::default(),
        wake_ups: WakeUps::default(),
        debug_log: debug_log::Outbox::default(),
        ending: AtomicBool::default(),
        inside: RwLock::default(),
    }));
    match SLOT.compare_exchange(seen, fresh, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: just leaked. The slot of a parent process is left alone: dropping it would join threads that
        // do not exist here.
        Ok(_) => Ok(unsafe { &*fresh }),
        Err(winner) => {
            // SAFETY: nobody else has seen `fresh`; `winner` is another thread's slot of this process.
            unsafe { Box::from_raw(fresh) }.runtime.shutdown_background();
            Ok(unsafe { &*winner })
        }
    }
}

/// The runtime of this process.
pub(super) fn runtime() -> Result<&'static Runtime, Error> {
    slot().map(|slot| &slot.runtime)
}

/// The same, where it is known that it was built.
pub(super) fn started() -> &'static Runtime {
    runtime().expect("the runtime of this process was built before")
}

/// Enters Python from a thread of ours; none where the interpreter ends.
pub(super) fn in_python<T>(work: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    inside(|| Python::try_attach(work)).flatten()
}

/// The same for work that enters Python by itself.
pub(super) fn inside<T>(work: impl FnOnce() -> T) -> Option<T> {
    let slot = built().ok()?;
    let _inside = slot.inside.read().unwrap_or_else(PoisonError::into_inner);
    (!slot.ending.load(Ordering::Acquire)).then(work)
}

/// Lets no thread of ours into Python any more, and waits until those that are inside have left, [`LEFT_WITHIN`] at most.
#[pyfunction]
pub(super) fn leave_python(py: Python<'_>) {
    let Ok(slot) = built() else { return };
    slot.ending.store(true, Ordering::Release);
    py.detach(|| {
        let until = Instant::now() + LEFT_WITHIN;
        while matches!(slot.inside.try_write(), Err(TryLockError::WouldBlock)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

/// Starts work that goes on by itself.
pub(super) fn spawn<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<JoinHandle<Result<T, Error>>, Error> {
    Ok(runtime()?.spawn(panics::caught_in(work)))
}

/// Where the lines of the debug log wait in this process; none where its runtime was not built.
pub(super) fn debug_log() -> Option<&'static debug_log::Outbox> {
    built().ok().map(|slot| &slot.debug_log)
}

/// What wakes the asyncio loops of this process.
pub(super) fn wake_ups() -> Result<&'static WakeUps, Error> {
    slot().map(|slot| &slot.wake_ups)
}

/// The handle of a cluster in this process: one per configuration, connections shared.
pub(super) fn cluster(configuration: &Configuration) -> Result<Cluster, Error> {
    Ok(shared_watches(configuration)?.hubs.cluster().clone())
}

/// Where those wait who wait in this process for Jobs of a cluster.
pub(super) fn shared_watches(configuration: &Configuration) -> Result<SharedWatches, Error> {
    let slot = slot()?;
    let mut clusters = slot.clusters.lock().unwrap_or_else(PoisonError::into_inner);
    let hubs = clusters
        .entry(configuration.clone())
        .or_insert_with(|| Arc::new(Hubs::new(Cluster::new(configuration.clone(), Timing::default(), seed()))));
    Ok(SharedWatches { hubs: Arc::clone(hubs), quota: Arc::clone(&slot.quota) })
}

/// Differs between processes that start in the same moment, so that their retries do not meet.
pub(super) fn seed() -> u64 {
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
    (u64::from(std::process::id()) << 32) ^ u64::from(nanos)
}

/// Waits for a future without the GIL and serves signals; an exception of a handler ends the work.
///
/// A signal handler runs on this thread inside the wait and may call in here again: no lock is held meanwhile.
pub(super) fn wait<T: Send + 'static>(
    py: Python<'_>,
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> PyResult<T> {
    let runtime = runtime().map_err(|error| raised(py, &error))?;
    let mut task = Task(spawn(work).map_err(|error| raised(py, &error))?);
    loop {
        let step = py.detach(|| runtime.block_on(async { tokio::time::timeout(SLICE, &mut task.0).await }));
        match step {
            Ok(Ok(end)) => return end.map_err(|error| raised(py, &error)),
            Ok(Err(lost)) => return Err(raised(py, &Error::lost(&lost))),
            Err(_) => py.check_signals()?,
        }
    }
}

/// Does at once what takes no time; what goes wrong with it, a panic too, is raised.
pub(super) fn done<T>(py: Python<'_>, work: impl FnOnce() -> Result<T, Error>) -> PyResult<T> {
    panics::caught(work).map_err(|error| raised(py, &error))
}

/// Seconds as Python gives them, where they say how long to wait: never so many that no moment is so far ahead.
pub(super) fn seconds(given: f64) -> Duration {
    let most = Duration::from_secs(u32::MAX.into());
    Duration::try_from_secs_f64(given.max(0.0)).unwrap_or(most).min(most)
}
