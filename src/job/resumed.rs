//! An attempt that goes on after another process followed its Job: it acknowledges or deletes it, by reference and owner.
//!
//! Promise: nothing is asked before somebody calls. A Job that was made by others is never written to.

use std::time::Duration;

use super::{acknowledge::acknowledge, message::Message, subject::Subject, waiter::delete_own};
use crate::{cluster::Cluster, error::Error};

/// A Job that was handed over.
pub struct Resumed {
    cluster: Cluster,
    subject: Subject,
}

impl Resumed {
    /// The attempt's Job, as it was handed over.
    #[must_use]
    pub fn new(cluster: Cluster, subject: Subject) -> Self {
        Self { cluster, subject }
    }

    /// What was handed over.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Does what is to be done after the verdict over how the Job ended; returns what there is to say.
    pub async fn acknowledge(&self) -> Result<Vec<Message>, Error> {
        let Subject { job, owner: Some(owner), finish: Some(finish), clean_up, .. } = &self.subject else {
            return Ok(Vec::new());
        };
        acknowledge(&self.cluster, job, owner, clean_up, *finish).await
    }

    /// Deletes the Job if it is the attempt's own; returns what was done once it is gone with its Pods.
    pub async fn delete(&self, within: Duration) -> Result<String, Error> {
        delete_own(&self.cluster, &self.subject, within).await
    }
}
