//! Adapts a watch that may be interrupted or refused, for whoever has to go on without it.
//!
//! Promise: an interruption is reported once it has lasted for the grace period, and [`WatchEvent::Steady`] ends it. A
//! refusal is final as [`RefusalBudget`] says; then the caller is blind, and asks by GET: alone as [`poll_job`]
//! does, or together with others at the pauses of [`pause_between_gets`].

use std::time::Duration;

use futures::{Stream, StreamExt, stream::BoxStream};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    cluster::{Cluster, Failure, WatchEvent},
    job_api::refusal_budget::RefusalBudget,
    model::observed_job::JobReference,
};

/// The interval at which a watch that many share is tried again after a final refusal.
pub(crate) const REFUSED_AGAIN: Duration = Duration::from_secs(60);
/// While a watch that many share does not work, they send at most this many GETs a second together.
const GETS_A_SECOND: u32 = 8;

/// What becomes of a watch after a final refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterRefusal {
    /// Its caller gives it up. So a list that is answered begins the budget anew: it is better than nothing.
    GiveUp,
    /// It is tried again every [`REFUSED_AGAIN`], because somebody may grant the right. A list that is answered proves
    /// nothing about the watch.
    TryAgain,
}

/// A watch that may be refused.
pub(crate) struct RefusableWatch<T = Value> {
    events: BoxStream<'static, WatchEvent<T>>,
    after_refusal: AfterRefusal,
    grace: Duration,
    budget: RefusalBudget,
    /// Since when the watch is interrupted.
    interrupted: Option<Instant>,
    /// The last failure, as long as the interruption is not reported.
    unreported: Option<Failure>,
    /// When a watch that was refused is tried again.
    retry_at: Option<Instant>,
}

impl<T> RefusableWatch<T> {
    /// Reports every interruption at once, and is given up after a refusal.
    pub fn of_one(events: impl Stream<Item = WatchEvent<T>> + Send + 'static) -> Self {
        Self::new(events, AfterRefusal::GiveUp, Duration::ZERO)
    }

    /// Reports interruptions that last longer than `grace`, and goes on after a refusal.
    pub fn of_many(events: impl Stream<Item = WatchEvent<T>> + Send + 'static, grace: Duration) -> Self {
        Self::new(events, AfterRefusal::TryAgain, grace)
    }

    fn new(
        events: impl Stream<Item = WatchEvent<T>> + Send + 'static,
        after_refusal: AfterRefusal,
        grace: Duration,
    ) -> Self {
        let (events, budget) = (events.boxed(), RefusalBudget::default());
        Self { events, after_refusal, grace, budget, interrupted: None, unreported: None, retry_at: None }
    }

    /// Goes on with another watch of the same objects.
    pub fn go_on_with(&mut self, events: impl Stream<Item = WatchEvent<T>> + Send + 'static) {
        self.events = events.boxed();
    }

    /// The next event; the error is a final refusal. Cancelling this future loses nothing.
    pub async fn next(&mut self) -> Result<WatchEvent<T>, Failure> {
        loop {
            let due = self.unreported.as_ref().and(self.interrupted).map(|since| since + self.grace);
            let timer = self.retry_at.or(due);
            tokio::select! {
                Some(event) = self.events.next(), if self.retry_at.is_none() => {
                    if let Some(event) = self.take(event).transpose() {
                        return event;
                    }
                }
                () = tokio::time::sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => {
                    if self.retry_at.take().is_none() && let Some(failure) = self.unreported.take() {
                        return Ok(WatchEvent::Interrupted(failure));
                    }
                }
            }
        }
    }

    fn take(&mut self, event: WatchEvent<T>) -> Result<Option<WatchEvent<T>>, Failure> {
        match &event {
            WatchEvent::Interrupted(failure) => {
                let since = *self.interrupted.get_or_insert_with(Instant::now);
                if self.budget.ends_with(failure) {
                    self.unreported = None;
                    self.retry_at =
                        (self.after_refusal == AfterRefusal::TryAgain).then(|| Instant::now() + REFUSED_AGAIN);
                    return Err(failure.clone());
                }
                if since.elapsed() < self.grace {
                    self.unreported = Some(failure.clone());
                    return Ok(None);
                }
            }
            WatchEvent::Relisted(_) if self.after_refusal == AfterRefusal::GiveUp => self.budget.begins_anew(),
            WatchEvent::Relisted(_) => {}
            WatchEvent::Steady => {
                self.budget.works();
                (self.interrupted, self.unreported) = (None, None);
            }
            WatchEvent::Opened | WatchEvent::Applied(_) | WatchEvent::Deleted(_) => self.budget.works(),
        }
        Ok(Some(event))
    }
}

/// Reads the Job by GET again and again, and returns its states as a watch would, for an identity that may not watch.
pub(crate) fn poll_job(cluster: Cluster, job: JobReference, every: Duration) -> impl Stream<Item = WatchEvent> + Send {
    async_stream::stream! {
        loop {
            tokio::time::sleep(every).await;
            match cluster.get(job.object()).await {
                // After a list nothing else has to be proven.
                Ok(found) => {
                    yield WatchEvent::Relisted(found.into_iter().collect());
                    yield WatchEvent::Steady;
                }
                Err(failure) => yield WatchEvent::Interrupted(failure),
            }
        }
    }
}

/// The pause between two GETs of one of those who share a watch that does not work.
pub(crate) fn pause_between_gets(sharing: usize) -> Duration {
    Duration::from_secs(1) * u32::try_from(sharing).unwrap_or(u32::MAX) / GETS_A_SECOND
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    const GRACE: Duration = Duration::from_secs(10);

    fn half_written() -> Failure {
        Failure::Unusable(Error::internal("half a kubeconfig"))
    }

    /// A watch that tells these events, one every so often, and is silent from then on.
    fn timed(events: Vec<WatchEvent<()>>, every: Duration) -> impl Stream<Item = WatchEvent<()>> {
        let timed = futures::stream::iter(events).then(move |event| async move {
            tokio::time::sleep(every).await;
            event
        });
        timed.chain(futures::stream::pending())
    }

    fn interruptions(failure: &Failure, times: usize) -> Vec<WatchEvent<()>> {
        vec![WatchEvent::Interrupted(failure.clone()); times]
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_never_worked_is_refused_for_good_soon_and_tried_again_once_a_minute() {
        let events = timed(interruptions(&half_written(), 5), Duration::ZERO);
        let mut watch = RefusableWatch::of_many(events, GRACE);
        let begin = Instant::now();
        let mut refused = Vec::new();
        for _ in 0..3 {
            watch.next().await.unwrap_err();
            refused.push(begin.elapsed().as_secs());
        }
        assert_eq!(refused, [0, 60, 120]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_used_for_a_moment_is_not_final_where_the_watch_has_worked() {
        let mut events = vec![WatchEvent::Steady];
        events.extend(interruptions(&half_written(), 13));
        let mut watch = RefusableWatch::of_one(timed(events, Duration::from_secs(60)));
        assert!(matches!(watch.next().await, Ok(WatchEvent::Steady)));
        for _ in 0..10 {
            assert!(matches!(watch.next().await, Ok(WatchEvent::Interrupted(_))));
        }
        assert!(watch.next().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn interruption_within_the_grace_period_is_not_told() {
        let reset = Failure::transport("connection reset");
        let mut events = interruptions(&reset, 3);
        events.push(WatchEvent::Steady);
        events.extend(interruptions(&reset, 1));
        let mut watch = RefusableWatch::of_many(timed(events, Duration::from_secs(2)), GRACE);
        let begin = Instant::now();
        assert!(matches!(watch.next().await, Ok(WatchEvent::Steady)));
        assert!(matches!(watch.next().await, Ok(WatchEvent::Interrupted(_))));
        assert_eq!(begin.elapsed(), Duration::from_secs(10) + GRACE, "it is told once it has lasted");
    }

    #[tokio::test(start_paused = true)]
    async fn list_that_is_answered_keeps_only_a_watch_that_would_be_given_up() {
        let mut events = vec![WatchEvent::Steady];
        for _ in 0..10 {
            events.push(WatchEvent::Relisted(Vec::new()));
            events.extend(interruptions(&half_written(), 1));
        }
        for (policy, refused) in [(AfterRefusal::GiveUp, false), (AfterRefusal::TryAgain, true)] {
            let timed = timed(events.clone(), Duration::from_secs(60));
            let mut watch = RefusableWatch::new(timed, policy, Duration::ZERO);
            let mut all = Vec::new();
            for _ in 0..events.len() {
                all.push(watch.next().await.is_err());
            }
            assert_eq!(all.contains(&true), refused, "{policy:?}");
        }
    }
}
