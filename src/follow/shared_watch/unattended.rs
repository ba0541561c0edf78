//! Lists the Jobs that nobody waits for in this process, although it waits for other Jobs of the same Airflow.
//!
//! Promise: it reads the index of the shared watch and sends no request. A Job that another triggerer or a worker
//! follows is in the list, too: only Airflow can say whether a Job was left behind.

use std::sync::Arc;

use super::hub::Hub;
use crate::model::observed_job::ObservedJob;

/// The unattended Jobs of one namespace.
pub struct Unattended {
    hub: Arc<Hub>,
}

impl Unattended {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    /// The unattended Jobs that are at work now.
    #[must_use]
    pub fn jobs(&self) -> Vec<Arc<ObservedJob>> {
        self.hub.index().unattended()
    }
}
