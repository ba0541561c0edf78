//! Remembers when a connection to the API server broke last. [`super::retry`] says what follows from it.

use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use super::{request::Failure, retry};

#[derive(Default)]
pub(super) struct Recovery(Mutex<Option<Instant>>);

impl Recovery {
    /// Notes that a connection failed, or that a stream broke.
    pub fn broke(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Judges what a failure means at this moment.
    pub fn judge(&self, failure: Failure) -> Failure {
        if matches!(failure, Failure::Transport { .. }) {
            self.broke();
        }
        let broke = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        retry::soon_after(broke.map(|at| at.elapsed()), failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn broken_connection_is_remembered_for_a_while() {
        let forbidden = || Failure::status(403, "Forbidden", "User \"airflow\" cannot delete resource \"jobs\"", None);
        let recovery = Recovery::default();
        assert_eq!(recovery.judge(forbidden()).code(), Some(403), "nothing broke");
        recovery.judge(Failure::transport("connection refused"));
        assert_eq!(recovery.judge(forbidden()).code(), None);
        tokio::time::advance(retry::ROLES_READ_WITHIN).await;
        assert_eq!(recovery.judge(forbidden()).code(), Some(403), "by now it has read them");
    }
}
