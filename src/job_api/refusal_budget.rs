//! When one who is refused gives up. Pure but for the clock.
//!
//! A right that was never there does not come by asking; one that was there may come back, for somebody may be changing
//! roles or writing the kubeconfig at this moment.

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::Failure;

/// What has worked before is refused for good only after this.
pub(crate) const REFUSED_FOR: Duration = Duration::from_secs(600);
/// What has never worked, after so many refusals in a row.
pub(crate) const REFUSALS: u32 = 3;

/// How often, and since when, the answer was no.
#[derive(Debug, Default)]
pub(crate) struct RefusalBudget {
    has_worked: bool,
    refusals: u32,
    /// The first of them.
    since: Option<Instant>,
}

impl RefusalBudget {
    /// That of one whose requests have been answered before.
    pub fn of_one_that_worked() -> Self {
        Self { has_worked: true, ..Self::default() }
    }

    /// It was answered.
    pub fn works(&mut self) {
        *self = Self::of_one_that_worked();
    }

    /// A part of it was answered, which proves nothing about the rest.
    pub fn begins_anew(&mut self) {
        *self = Self { has_worked: self.has_worked, ..Self::default() };
    }

    /// True where the failure is final.
    pub fn ends_with(&mut self, failure: &Failure) -> bool {
        if !matches!(failure, Failure::Unusable(_)) && !matches!(failure.code(), Some(401 | 403 | 404)) {
            self.begins_anew();
            return false;
        }
        self.refusals += 1;
        let since = *self.since.get_or_insert_with(Instant::now);
        if self.has_worked { since.elapsed() >= REFUSED_FOR } else { self.refusals >= REFUSALS }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn unusable() -> Failure {
        Failure::Unusable(Error::internal("half a kubeconfig"))
    }

    fn refused() -> Failure {
        Failure::status(403, "Forbidden", "no", None)
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_never_worked_is_given_up_soon() {
        for failure in [unusable(), refused()] {
            let mut patience = RefusalBudget::default();
            assert_eq!([(); 3].map(|()| patience.ends_with(&failure)), [false, false, true]);
        }
        let mut patience = RefusalBudget::default();
        for _ in 0..10 {
            assert!(!patience.ends_with(&refused()));
            assert!(!patience.ends_with(&Failure::transport("reset")), "only refusals in a row count");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_worked_is_given_up_after_ten_minutes_of_refusals_only() {
        for failure in [unusable(), refused()] {
            let mut patience = RefusalBudget::of_one_that_worked();
            for _ in 0..100 {
                assert!(!patience.ends_with(&failure));
            }
            tokio::time::advance(Duration::from_secs(599)).await;
            assert!(!patience.ends_with(&failure));
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(patience.ends_with(&failure));
            patience.works();
            assert!(!patience.ends_with(&failure));
        }
    }
}
