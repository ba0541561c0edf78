//! Makes growing pauses between equal requests, whatever the answers are.
//!
//! Promise: the first turn comes at once. Each further turn comes after a longer pause than the one before, up to some
//! seconds. The pauses begin again only if the last turn has lasted as long as the longest pause. So a caller that asks
//! only in turns asks about ten times in the first ten seconds and then every five seconds, even if every answer is
//! wrong. Clones share the turns: a watch that replaces another one goes on with its pauses.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use backon::ExponentialBackoff;
use tokio::time::Instant;

use super::retry;

/// This many further turns may come at once before the pauses grow again, if there is a reason for it.
const AT_ONCE: u32 = 4;

/// The turns of a caller that sends the same request again and again.
#[derive(Clone)]
pub struct Pauses(Arc<Mutex<PausesState>>);

struct PausesState {
    seed: u64,
    first: Duration,
    longest: Duration,
    backoff: ExponentialBackoff,
    /// When the last turn came, or will.
    last: Option<Instant>,
    at_once: u32,
}

impl Pauses {
    /// Pauses from [`retry::FIRST_PAUSE`] to [`retry::LONGEST_PAUSE`], plus up to as much jitter; `seed` is for the
    /// jitter.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::between(retry::FIRST_PAUSE, retry::LONGEST_PAUSE, seed)
    }

    /// Pauses from the first of these lengths to the second.
    #[must_use]
    pub fn between(first: Duration, longest: Duration, seed: u64) -> Self {
        let backoff = retry::growing(first, longest, seed, None);
        Self(Arc::new(Mutex::new(PausesState { seed, first, longest, backoff, last: None, at_once: AT_ONCE })))
    }

    /// Takes the next turn, and returns the moment of it.
    #[must_use]
    pub fn next(&self) -> Instant {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    /// Waits for the next turn. A wait that is cancelled counts as a turn.
    pub async fn turn(&self) {
        tokio::time::sleep_until(self.next()).await;
    }

    /// The same for a caller that has a reason to ask at once: it may do so [`AT_ONCE`] times.
    pub async fn soon(&self) {
        let turn = self.0.lock().unwrap_or_else(PoisonError::into_inner).soon();
        tokio::time::sleep_until(turn).await;
    }
}

impl PausesState {
    fn next(&mut self) -> Instant {
        let now = Instant::now();
        let Some(last) = self.last else { return *self.last.insert(now) };
        self.renew(now, last);
        let pause = self.backoff.next().unwrap_or(self.longest);
        *self.last.insert(now + pause)
    }

    fn soon(&mut self) -> Instant {
        let now = Instant::now();
        if let Some(last) = self.last {
            self.renew(now, last);
        }
        if self.at_once == 0 {
            return self.next();
        }
        self.at_once -= 1;
        *self.last.insert(now)
    }

    /// Begins the pauses again if the last turn has lasted: then the next turn is not part of a fast loop.
    fn renew(&mut self, now: Instant, last: Instant) {
        if now.saturating_duration_since(last) >= self.longest {
            self.seed = self.seed.wrapping_add(1);
            self.backoff = retry::growing(self.first, self.longest, self.seed, None);
            self.at_once = AT_ONCE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn turns(pauses: &Pauses, within: Duration) -> usize {
        let end = Instant::now() + within;
        let mut turns = 0;
        while Instant::now() < end {
            pauses.turn().await;
            turns += 1;
        }
        turns
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_in_turns_asks_seldom_soon() {
        for seed in 0..20 {
            let pauses = Pauses::new(seed);
            let begin = Instant::now();
            pauses.turn().await;
            assert_eq!(begin.elapsed(), Duration::ZERO, "the first turn comes at once");
            assert!(turns(&pauses, Duration::from_secs(10)).await <= 10);
            assert!(turns(&pauses, Duration::from_secs(60)).await <= 13);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_begin_anew_only_after_a_turn_that_lasted() {
        let pauses = Pauses::new(7);
        turns(&pauses, Duration::from_secs(60)).await;
        tokio::time::advance(retry::LONGEST_PAUSE / 2).await;
        let begin = Instant::now();
        pauses.turn().await;
        assert!(begin.elapsed() >= retry::LONGEST_PAUSE / 2, "{:?}", begin.elapsed());
        tokio::time::advance(retry::LONGEST_PAUSE).await;
        let begin = Instant::now();
        pauses.turn().await;
        assert!(begin.elapsed() <= 2 * retry::FIRST_PAUSE, "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_over_goes_on_with_the_pauses() {
        let first = Pauses::new(7);
        turns(&first, Duration::from_secs(30)).await;
        let begin = Instant::now();
        first.clone().turn().await;
        assert!(begin.elapsed() >= retry::LONGEST_PAUSE / 2, "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn reasons_to_ask_at_once_are_used_up() {
        let pauses = Pauses::new(7);
        let begin = Instant::now();
        let mut asked = 0;
        while begin.elapsed() < Duration::from_secs(60) {
            pauses.soon().await;
            asked += 1;
        }
        assert!(asked <= 25, "{asked} in a minute");
    }
}
