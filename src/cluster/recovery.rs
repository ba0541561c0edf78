//! Remembers that the API server was out of reach a moment ago.
//!
//! An API server that has just started answers everybody with 403 until it has read its Roles, in the words with which
//! it refuses those who have no right. So a 403 soon after a broken connection is no answer: it is taken for another
//! failure of the connection, and whatever repeats or resumes those does so. A right that is really missing is told
//! once the time has passed.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::request::Failure;

/// How long an API server may need for its Roles once it accepts connections.
const ROLES_READ_WITHIN: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Recovery(Mutex<Option<Instant>>);

impl Recovery {
    /// A connection failed, or a stream broke.
    pub fn broke(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// What a failure means just now.
    pub fn judge(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Transport { .. } => {
                self.broke();
                failure
            }
            Failure::Status { .. } if by_role(&failure) && self.recent() => Failure::transport(format!(
                "it has just started and knows no Roles yet, as it seems: {}",
                failure.message()
            )),
            Failure::Status { .. } | Failure::Unusable(_) => failure,
        }
    }

    fn recent(&self) -> bool {
        let broke = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        broke.is_some_and(|at| at.elapsed() < ROLES_READ_WITHIN)
    }
}

/// Whether the authorizer refused, and not admission: `User "..." cannot get resource "jobs" ...`.
fn by_role(failure: &Failure) -> bool {
    failure.code() == Some(403) && failure.message().contains("cannot ") && failure.message().contains("User \"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forbidden() -> Failure {
        Failure::status(403, "Forbidden", "User \"airflow\" cannot delete resource \"jobs\"", None)
    }

    #[tokio::test(start_paused = true)]
    async fn refusal_soon_after_a_broken_connection_is_no_answer() {
        let recovery = Recovery::default();
        assert_eq!(recovery.judge(forbidden()).code(), Some(403), "nothing broke");
        recovery.judge(Failure::transport("connection refused"));
        assert_eq!(recovery.judge(forbidden()).code(), None);
        tokio::time::advance(ROLES_READ_WITHIN).await;
        assert_eq!(recovery.judge(forbidden()).code(), Some(403), "by now it has read them");
    }

    #[tokio::test(start_paused = true)]
    async fn other_answers_stay_answers() {
        let recovery = Recovery::default();
        recovery.broke();
        assert_eq!(recovery.judge(Failure::status(409, "Conflict", "", None)).code(), Some(409));
        assert_eq!(recovery.judge(Failure::status(403, "Forbidden", "exceeded quota: q", None)).code(), Some(403));
    }
}
