//! The Jobs that nobody waits for here, although they were made by an Airflow for which somebody waits here.
//!
//! Promise: reads what the watch that all waiters share has told already, asks nothing itself. A Job that another
//! triggerer or a worker follows is among them: whether one is left behind is for Airflow to say.

use std::sync::Arc;

use super::hub::Hub;
use crate::model::observed_job::ObservedJob;

/// One namespace, seen for the Jobs that nobody waits for.
pub struct Unattended {
    hub: Arc<Hub>,
}

impl Unattended {
    pub(crate) fn new(hub: Arc<Hub>) -> Self {
        Self { hub }
    }

    /// Those that are at work now.
    #[must_use]
    pub fn jobs(&self) -> Vec<Arc<ObservedJob>> {
        self.hub.index().unattended()
    }
}
