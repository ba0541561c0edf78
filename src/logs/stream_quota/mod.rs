//! What all who wait in one process share of its logs: records a second, and streams that are open at once.
//!
//! Promise: nothing is dropped; what is too much comes later, one record of each Job in turn. Airflow's triggerer takes
//! about 1,800 records a second for all its triggers together: 1,000 are handed to it, and 50 ms' worth at once.
//! Of the logs, 200 are followed. Those beyond are read 16 at once, every 5 s, each as far as it is written or for 10 s;
//! one of them is followed as soon as one of the 200 is not any more.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use crate::{
    cluster::Failure,
    logs::{
        container::ContainerNow,
        source::{LogApi, LogRequest, LogRun},
    },
    model::log_position::LogSource,
};

/// Records a second, over all Jobs.
const RECORDS: u32 = 1_000;
/// Records may come this much together.
const BURST: Duration = Duration::from_millis(50);
/// Logs that are followed at once. Each is a connection, and memory of the API server and the kubelet.
const FOLLOWED: usize = 200;
/// Logs beyond those that are read at once, each as far as it is written.
const READ: usize = 16;
/// How often each of those is read.
const READ_EVERY: Duration = Duration::from_secs(5);
/// How long one of those is read at most: a container may write faster than its log is taken, for ever.
const READ_FOR: Duration = Duration::from_secs(10);

/// The shares of one process.
pub struct LogQuota {
    /// When the next record may go. Whoever waits for it, waits in line.
    next: AsyncMutex<Instant>,
    follows: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

impl Default for LogQuota {
    fn default() -> Self {
        Self {
            next: AsyncMutex::new(Instant::now()),
            follows: Arc::new(Semaphore::new(FOLLOWED)),
            reads: Arc::new(Semaphore::new(READ)),
        }
    }
}

impl LogQuota {
    /// Waits for the turn of one more record.
    pub async fn record(&self) {
        let mut next = self.next.lock().await;
        let now = Instant::now();
        tokio::time::sleep_until(*next).await;
        *next = (*next).max(now.checked_sub(BURST).unwrap_or(now)) + Duration::from_secs(1) / RECORDS;
    }

    /// The logs of a cluster within these shares, for one container.
    pub fn of<A: LogApi>(self: &Arc<Self>, api: A) -> QuotaLogApi<A> {
        QuotaLogApi { api, quota: Arc::clone(self), read: Mutex::default() }
    }
}

/// Leave to read a log.
pub struct StreamPermit {
    /// What may be read. It is less than was asked for if many other logs are followed.
    pub which: LogRun,
    /// When it is somebody else's turn.
    until: Option<Instant>,
    _share: Option<OwnedSemaphorePermit>,
}

impl StreamPermit {
    /// The permit of a reader that has no quota.
    pub fn at_once(which: LogRun) -> Self {
        Self { which, until: None, _share: None }
    }

    /// Whether it is somebody else's turn.
    pub fn over(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }
}

/// A cluster's logs, within shares.
pub struct QuotaLogApi<A> {
    api: A,
    quota: Arc<LogQuota>,
    /// When this log was read last without being followed.
    read: Mutex<Option<Instant>>,
}

impl<A: LogApi> QuotaLogApi<A> {
    async fn turn_to_read(&self, which: LogRun) -> StreamPermit {
        let last = *self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last {
            tokio::time::sleep_until(last + READ_EVERY).await;
        }
        // Nobody closes it.
        let share = Arc::clone(&self.quota.reads).acquire_owned().await.ok();
        let now = Instant::now();
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
        StreamPermit { which, until: Some(now + READ_FOR), _share: share }
    }
}

impl<A: LogApi> LogApi for QuotaLogApi<A> {
    type Stream = A::Stream;

    async fn turn(&self, which: LogRun) -> StreamPermit {
        let (followed, instead) = match which {
            LogRun::Follow => (true, LogRun::Current),
            LogRun::Current | LogRun::Previous => (false, which),
        };
        tokio::select! {
            biased;
            share = Arc::clone(&self.quota.follows).acquire_owned(), if followed => {
                StreamPermit { which, until: None, _share: share.ok() }
            }
            turn = self.turn_to_read(instead) => turn,
        }
    }

    async fn open(&self, source: &LogSource, request: &LogRequest) -> Result<Self::Stream, Failure> {
        self.api.open(source, request).await
    }

    async fn container_state(&self, source: &LogSource) -> Result<ContainerNow, Failure> {
        self.api.container_state(source).await
    }

    fn next_seed(&self) -> u64 {
        self.api.next_seed()
    }
}

#[cfg(test)]
mod tests;
