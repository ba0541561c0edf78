//! Decides when refusals (401, 403) are final. Pure but for the clock.
//!
//! A right that was never there does not come by asking; one that was there may come back, for somebody may be changing
//! roles or writing the kubeconfig at this moment. What a proxy or a gateway says is no refusal, whatever its code: the
//! API server may never have been asked.

use std::time::Duration;

use tokio::time::Instant;

use crate::cluster::Failure;

/// How long refusals must last before they are final, if requests have worked before.
pub(crate) const REFUSED_FOR: Duration = Duration::from_secs(600);
/// How many refusals in a row are final, if no request has worked before.
pub(crate) const REFUSALS: u32 = 3;

/// Counts refusals, and remembers since when they come.
#[derive(Debug, Default)]
pub(crate) struct RefusalBudget {
    has_worked: bool,
    refusals: u32,
    /// When the first refusal came.
    since: Option<Instant>,
}

impl RefusalBudget {
    /// The budget of a caller whose requests have been answered before.
    pub fn of_one_that_worked() -> Self {
        Self { has_worked: true, ..Self::default() }
    }

    /// Notes that a request was answered.
    pub fn works(&mut self) {
        *self = Self::of_one_that_worked();
    }

    /// Notes that a part was answered, which proves nothing about the rest.
    pub fn begins_anew(&mut self) {
        *self = Self { has_worked: self.has_worked, ..Self::default() };
    }

    /// Takes in a failure; true if it is final.
    pub fn ends_with(&mut self, failure: &Failure) -> bool {
        if !matches!(failure, Failure::Unusable(_)) && !failure.is_refusal() {
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
    use crate::{cluster::Responder, error::Error};

    fn unusable() -> Failure {
        Failure::Unusable(Error::internal("half a kubeconfig"))
    }

    fn refused() -> Failure {
        Failure::status(403, "Forbidden", "no", None)
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_never_worked_is_given_up_soon() {
        for failure in [unusable(), refused()] {
            let mut budget = RefusalBudget::default();
            assert_eq!([(); 3].map(|()| budget.ends_with(&failure)), [false, false, true]);
        }
        let mut budget = RefusalBudget::default();
        for _ in 0..10 {
            assert!(!budget.ends_with(&refused()));
            assert!(!budget.ends_with(&Failure::transport("reset")), "only refusals in a row count");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_another_than_the_api_server_says_is_never_final() {
        for code in [401, 403, 404] {
            let mut said = Failure::status(code, "", "<html>", None);
            if let Failure::Status { responder, .. } = &mut said {
                *responder = Responder::Unknown;
            }
            let mut budget = RefusalBudget::default();
            for _ in 0..10 {
                assert!(!budget.ends_with(&said));
                tokio::time::advance(REFUSED_FOR).await;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_worked_is_given_up_after_ten_minutes_of_refusals_only() {
        for failure in [unusable(), refused()] {
            let mut budget = RefusalBudget::of_one_that_worked();
            for _ in 0..100 {
                assert!(!budget.ends_with(&failure));
            }
            tokio::time::advance(Duration::from_secs(599)).await;
            assert!(!budget.ends_with(&failure));
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(budget.ends_with(&failure));
            budget.works();
            assert!(!budget.ends_with(&failure));
        }
    }
}
