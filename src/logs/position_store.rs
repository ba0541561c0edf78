//! Keeps on the Job how far its log was delivered, so that whoever waits for it next goes on there.
//!
//! Promise: only on the attempt's own Job, forward only, tested by uid and owner; at most once a minute and Job, and
//! once at the end. What was not written in time is repeated by the next one, never lost.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Mutex as AsyncMutex, time::Instant};

use crate::{
    cluster::Cluster,
    identity::Owner,
    job_api::{
        jobs::get_job,
        owner_patch::{Written, store_positions},
    },
    model::{
        handoff::Handoff,
        log_positions::{SourcePosition, StoredPositions},
        message::Message,
        observed_job::ObservedJob,
    },
};

/// Between two writes.
const EVERY: Duration = Duration::from_secs(60);
/// The last write, for all Jobs whose waiting ends at once.
const AT_THE_END: Duration = Duration::from_millis(1500);

/// Writes the positions of one Job.
#[derive(Default)]
pub(crate) struct PositionStore {
    /// What stands on the Job, as far as is known. Held while writing.
    stored: AsyncMutex<Stored>,
    refused: Mutex<Option<Message>>,
}

#[derive(Default)]
struct Stored {
    /// As it stands there, whoever wrote it: a write must know what it replaces.
    text: Option<String>,
    /// The stored positions of this owner's log.
    delivered: Option<StoredPositions>,
    /// No write can succeed any more.
    over: bool,
}

impl Stored {
    fn read(&mut self, job: &ObservedJob, owner: &Owner) {
        self.text = job.log_positions.as_deref().map(str::to_owned);
        self.delivered = job.delivered_to(owner);
    }
}

impl PositionStore {
    /// Takes what stands on the Job.
    pub async fn saw(&self, job: &ObservedJob, owner: &Owner) {
        self.stored.lock().await.read(job, owner);
    }

    /// Writes from time to time while lines are handed over; `moved` returns when some were. Returns a warning where no
    /// write can succeed.
    pub async fn keep<M: Future<Output = ()>>(
        &self,
        cluster: &Cluster,
        handoff: &Handoff,
        moved: impl Fn() -> M,
        positions: impl Fn() -> Vec<SourcePosition>,
    ) -> Option<Message> {
        loop {
            moved().await;
            let began = Instant::now();
            // Seldom, and large: not part of the future of each who waits.
            Box::pin(self.write(cluster, handoff, positions(), false)).await;
            if let Some(refused) = self.refused().take() {
                return Some(refused);
            }
            tokio::time::sleep_until(began + EVERY).await;
        }
    }

    /// The last write: from now on nothing is handed over.
    pub async fn end(&self, cluster: &Cluster, handoff: &Handoff, positions: Vec<SourcePosition>) {
        let _ = tokio::time::timeout(AT_THE_END, self.write(cluster, handoff, positions, true)).await;
    }

    fn refused(&self) -> MutexGuard<'_, Option<Message>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self, cluster: &Cluster, handoff: &Handoff, positions: Vec<SourcePosition>, exact: bool) {
        let Handoff { job, owner: Some(owner), get_logs: true, .. } = handoff else { return };
        let mut stored = self.stored.lock().await;
        if stored.over || positions.is_empty() || !handoff.clean_up.patch_jobs {
            return;
        }
        // A second time where somebody else wrote in between.
        for _ in 0..2 {
            let delivered = StoredPositions::now(owner, positions.clone(), stored.delivered.as_ref(), exact);
            let handed_over = || StoredPositions::now(owner, handoff.positions.clone(), None, exact);
            if stored.delivered.as_ref().map_or_else(|| handed_over() == delivered, |stored| *stored == delivered) {
                return;
            }
            let text = delivered.write();
            match store_positions(cluster, job, owner, stored.text.as_deref(), &text).await {
                Written::Done(_) => {
                    (stored.text, stored.delivered) = (Some(text), Some(delivered));
                    return;
                }
                Written::Gone | Written::OwnedBy(_) => {
                    stored.over = true;
                    return;
                }
                Written::Failed(failure) if failure.is_forbidden() => {
                    stored.over = true;
                    let why = failure.message();
                    let text = format!(
                        "The position in the log cannot be stored on the Job: if the triggerer ends, the log is \
                         repeated from its beginning ({why})"
                    );
                    *self.refused() = Some(Message::warning("log-position-not-kept", text));
                    return;
                }
                Written::Failed(failure) if failure.code() == Some(422) => {
                    let Ok(Some(seen)) = get_job(cluster, job).await else { return };
                    stored.read(&seen, owner);
                }
                Written::Failed(_) => return,
            }
        }
    }
}
