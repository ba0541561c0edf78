//! An attempt that goes on after another process followed its Job: it acknowledges or deletes it, by reference and owner.
//!
//! Promise: nothing is asked before somebody calls. A Job that was made by others is never written to.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{acknowledge::acknowledge, waiter::delete_own};
use crate::{
    cluster::Cluster,
    error::Error,
    job_api::warnings::telling,
    model::{
        handoff::Handoff,
        message::{Message, Say},
    },
};

/// A Job that was handed over.
pub struct Resumed {
    cluster: Cluster,
    handoff: Handoff,
}

impl Resumed {
    /// The attempt's Job, as it was handed over.
    #[must_use]
    pub fn new(cluster: Cluster, handoff: Handoff) -> Self {
        Self { cluster, handoff }
    }

    /// What was handed over.
    #[must_use]
    pub fn handoff(&self) -> &Handoff {
        &self.handoff
    }

    /// Does what is to be done after the verdict over how the Job ended; returns what there is to say.
    pub async fn acknowledge(&self) -> Result<Vec<Message>, Error> {
        let Handoff { job, owner: Some(owner), finish: Some(finish), clean_up, .. } = &self.handoff else {
            return Ok(Vec::new());
        };
        let (news, mut warned) = mpsc::unbounded_channel();
        let cluster = telling(self.cluster.clone(), news);
        let mut said = acknowledge(&cluster, job, owner, clean_up, *finish).await?;
        said.extend(std::iter::from_fn(|| warned.try_recv().ok()).flatten());
        Ok(said)
    }

    /// Deletes the Job if it is the attempt's own; returns what was done once it is gone with its Pods. `say` hears that
    /// the deletion has begun, and every so often that it goes on.
    pub async fn delete_telling(&self, within: Duration, say: &dyn Say) -> Result<String, Error> {
        delete_own(&self.cluster, &self.handoff, within, say).await
    }
}
