//! What happens in a session, or in an order to delete Jobs, as it is handed over.

use std::collections::BTreeSet;

use crate::{
    delete::DeletedJobs,
    logs,
    model::{message::Message, observed_job::JobReference, outcome::Outcome},
    submit::JobOrigin,
};

/// What is handed over.
#[derive(Debug)]
pub enum Event {
    /// An attempt has its Job. Only messages may come before.
    Submitted {
        /// Which Job.
        job: JobReference,
        /// How it came to it.
        origin: JobOrigin,
        /// The try that made the Job.
        made_by_try: u32,
    },
    /// A sentence for the task log.
    Message(Message),
    /// Lines of a container.
    Log(logs::Record),
    /// The end of a Job that was followed.
    Outcome(Box<Outcome>),
    /// A Job of an order is gone, or its deletion was accepted where nobody waits for more.
    Deleted {
        /// Which Job.
        job: JobReference,
        /// Its Pods that stay; all others have ended.
        pods_kept: BTreeSet<String>,
    },
    /// The end of an order to delete Jobs.
    Ended(DeletedJobs),
    /// The end of the deletion of an attempt's own Job: what was done; none if no Job was made.
    Removed(Option<String>),
}
