//! Since when the log of one container has brought nothing although it was asked for, and why. Pure but for the clock.
//!
//! Time in which nobody takes its lines, or in which it is the turn of other logs, does not count.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::container_log::PassEnd;

/// What a reader tells whoever waits for its end.
#[derive(Debug, Default)]
pub struct Stall(Mutex<StallState>);

#[derive(Debug, Default)]
struct StallState {
    since: Option<Instant>,
    why: String,
}

impl Stall {
    /// Since when, and why as far as that is known; none while it brings something.
    #[must_use]
    pub fn since(&self) -> Option<(Instant, String)> {
        let state = self.state();
        state.since.map(|since| (since, state.why.clone()))
    }

    /// The log is asked for, after this much time that does not count.
    pub(crate) fn asks(&self, waited: Duration) {
        let mut state = self.state();
        state.since = Some(state.since.map_or_else(Instant::now, |since| since + waited));
    }

    /// It brings something.
    pub(crate) fn is_over(&self) {
        *self.state() = StallState::default();
    }

    /// A pass over it ended so.
    pub(crate) fn because(&self, end: &PassEnd) {
        self.state().why = end.why();
    }

    fn state(&self) -> MutexGuard<'_, StallState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn waiting_for_others_does_not_count() {
        let stall = Stall::default();
        assert!(stall.since().is_none(), "it was not asked for");
        stall.asks(Duration::ZERO);
        let begin = Instant::now();
        tokio::time::advance(Duration::from_secs(5)).await;
        stall.because(&PassEnd::Silent);
        tokio::time::advance(Duration::from_secs(100)).await;
        stall.asks(Duration::from_secs(100));
        assert_eq!(stall.since(), Some((begin + Duration::from_secs(100), "nothing comes".to_owned())));
        stall.is_over();
        assert!(stall.since().is_none());
    }
}
