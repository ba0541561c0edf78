//! What all who wait in one process share of its logs: records a second, and streams that are open at once.
//!
//! Promise: nothing is dropped; what is too much comes later, one record of each Job in turn. Airflow's triggerer takes
//! about 1,800 records a second for all its triggers together, so that many are never handed to it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream::BoxStream};
use tokio::{
    sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore},
    time::Instant,
};

use super::{
    LogSource,
    container::ContainerNow,
    source::{LogApi, LogRequest, Which},
};
use crate::cluster::Failure;

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

/// The shares of one process.
pub struct Ration {
    /// When the next record may go. Whoever waits for it, waits in line.
    next: AsyncMutex<Instant>,
    follows: Arc<Semaphore>,
    reads: Arc<Semaphore>,
}

impl Default for Ration {
    fn default() -> Self {
        Self {
            next: AsyncMutex::new(Instant::now()),
            follows: Arc::new(Semaphore::new(FOLLOWED)),
            reads: Arc::new(Semaphore::new(READ)),
        }
    }
}

impl Ration {
    /// Waits for the turn of one more record.
    pub async fn record(&self) {
        let mut next = self.next.lock().await;
        let now = Instant::now();
        tokio::time::sleep_until(*next).await;
        *next = (*next).max(now.checked_sub(BURST).unwrap_or(now)) + Duration::from_secs(1) / RECORDS;
    }

    /// The logs of a cluster within these shares, for one container.
    pub fn of<A: LogApi>(self: &Arc<Self>, api: A) -> Rationed<A> {
        Rationed { api, ration: Arc::clone(self), read: Mutex::default() }
    }
}

/// A cluster's logs, within shares.
pub struct Rationed<A> {
    api: A,
    ration: Arc<Ration>,
    /// When this log was read last without being followed.
    read: Mutex<Option<Instant>>,
}

impl<A: LogApi> LogApi for Rationed<A> {
    type Stream = BoxStream<'static, std::io::Result<bytes::Bytes>>;

    async fn open(&self, source: &LogSource, request: &LogRequest) -> Result<Self::Stream, Failure> {
        if request.which == Which::Follow
            && let Ok(share) = Arc::clone(&self.ration.follows).try_acquire_owned()
        {
            return Ok(with(share, self.api.open(source, request).await?));
        }
        let which = if request.which == Which::Previous { Which::Previous } else { Which::Current };
        let last = self.read.lock().unwrap_or_else(PoisonError::into_inner).replace(Instant::now());
        if let Some(last) = last {
            tokio::time::sleep_until(last + READ_EVERY).await;
        }
        let Ok(share) = Arc::clone(&self.ration.reads).acquire_owned().await else { return Err(closed()) };
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        let request = LogRequest { which, since: request.since.clone() };
        Ok(with(share, self.api.open(source, &request).await?))
    }

    async fn look(&self, source: &LogSource) -> Result<ContainerNow, Failure> {
        self.api.look(source).await
    }

    fn next_seed(&self) -> u64 {
        self.api.next_seed()
    }
}

/// The semaphores are never closed.
fn closed() -> Failure {
    Failure::transport("the process is ending")
}

fn with<S>(share: OwnedSemaphorePermit, stream: S) -> BoxStream<'static, S::Item>
where
    S: futures::Stream + Send + 'static,
{
    let mut share = Some(share);
    stream
        .chain(futures::stream::poll_fn(move |_| {
            share.take();
            std::task::Poll::Ready(None)
        }))
        .boxed()
}
