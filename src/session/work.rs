//! A deletion under way, as somebody holds it who takes its events.
//!
//! Promise: it goes on by itself, and events come in order, its end or its error last. Dropping it stops the watching; what the
//! API server has accepted goes on in the cluster.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::task::JoinHandle;

use super::{Event, handle::Session, outbox::Outbox};
use crate::{
    cluster::Cluster,
    delete::{self, DeleteRequest, DeletionListener},
    error::Error,
    job_api::warnings::with_warnings_to,
    model::observed_job::JobReference,
    panics,
};

/// A deletion under way.
pub struct Work {
    outbox: Arc<Outbox>,
    task: JoinHandle<()>,
}

impl Work {
    /// Starts an order to delete Jobs. Must run inside a tokio runtime.
    #[must_use]
    pub fn delete_jobs(cluster: Cluster, order: DeleteRequest) -> Self {
        Self::start(async move |outbox| {
            let cluster = with_warnings_to(cluster, Arc::clone(&outbox));
            let listener: Arc<dyn DeletionListener> = outbox;
            delete::delete_jobs(&cluster, &order, &listener).await.map(Event::Ended)
        })
    }

    /// Starts the deletion of the Job of a session, see [`Session::delete`]. Must run inside a tokio runtime.
    #[must_use]
    pub fn delete_own(session: Arc<Session>, within: Duration) -> Self {
        Self::start(async move |outbox| session.delete(within, &outbox).await.map(Event::Removed))
    }

    fn start<F: Future<Output = Result<Event, Error>> + Send + 'static>(work: impl FnOnce(Arc<Outbox>) -> F) -> Self {
        let outbox = Arc::new(Outbox::new(0));
        let work = work(Arc::clone(&outbox));
        let events = Arc::clone(&outbox);
        let task = tokio::spawn(async move {
            let end = Box::pin(panics::caught_in(work)).await;
            events.put(end);
            events.end();
        });
        Self { outbox, task }
    }

    /// The next event; `None` after the last one.
    pub async fn next(&self) -> Option<Result<Event, Error>> {
        self.outbox.next().await
    }

    /// Stops watching.
    pub fn close(&self) {
        self.task.abort();
        self.outbox.end();
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.close();
    }
}

impl DeletionListener for Outbox {
    fn deleted(&self, job: JobReference, pods_kept: BTreeSet<String>) {
        self.put(Ok(Event::Deleted { job, pods_kept }));
    }
}
