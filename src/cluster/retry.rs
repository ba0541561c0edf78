//! What may be asked again, and when. Pure.
//!
//! A read, a guarded patch and a delete by uid change nothing when they arrive twice; a create does, so only
//! the answer "not run" (429) repeats it here, and everything else is settled by looking (see
//! [`crate::job::submit`]).

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use super::request::{Failure, Verb};

/// Answers of the API server that say "not now" rather than "no".
/// 500 is among them: failing webhooks and etcd hiccups answer so.
pub const TRANSIENT: [u16; 5] = [429, 500, 502, 503, 504];

/// First pause between two tries.
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two tries, before jitter.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server's `Retry-After` is obeyed up to this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);

/// Whether the same request may be sent again after this failure.
#[must_use]
pub fn may_repeat(verb: Verb, failure: &Failure) -> bool {
    match (verb, failure) {
        (Verb::Create, Failure::Status { status, .. }) => status.code == 429,
        (Verb::Get | Verb::List | Verb::Patch | Verb::Delete, Failure::Status { status, .. }) => {
            TRANSIENT.contains(&status.code)
        }
        (Verb::Get | Verb::List | Verb::Patch | Verb::Delete, Failure::Transport { .. }) => true,
        // Streams are resumed by whoever reads them, because only they know where.
        (Verb::Watch | Verb::Log, _) | (Verb::Create, Failure::Transport { .. }) | (_, Failure::Unusable(_)) => false,
    }
}

/// The pause before the next try: the server's wish, else the backoff's; none when the limit is reached.
#[must_use]
pub fn pause(failure: &Failure, backoff: Option<Duration>) -> Option<Duration> {
    let backoff = backoff?;
    Some(failure.retry_after().map_or(backoff, |wish| wish.min(LONGEST_RETRY_AFTER).max(backoff)))
}

/// Doubling pauses with jitter, together at most `within` where that is given, without end otherwise.
#[must_use]
pub fn backoff(seed: u64, within: Option<Duration>) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .with_jitter_seed(seed)
        .without_max_times()
        .with_total_delay(within)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: u16) -> Failure {
        Failure::status(code, "", "", None)
    }

    #[test]
    fn create_is_repeated_only_when_it_was_not_run() {
        assert!(may_repeat(Verb::Create, &answered(429)));
        for code in [409, 403, 500, 502, 503, 504] {
            assert!(!may_repeat(Verb::Create, &answered(code)), "{code}");
        }
        assert!(!may_repeat(Verb::Create, &Failure::transport("reset")));
    }

    #[test]
    fn reads_guarded_patches_and_deletes_are_repeated_on_transient_answers() {
        for verb in [Verb::Get, Verb::List, Verb::Patch, Verb::Delete] {
            for code in TRANSIENT {
                assert!(may_repeat(verb, &answered(code)), "{verb:?} {code}");
            }
            for code in [400, 401, 403, 404, 409, 410, 422] {
                assert!(!may_repeat(verb, &answered(code)), "{verb:?} {code}");
            }
            assert!(may_repeat(verb, &Failure::transport("reset")));
        }
    }

    #[test]
    fn retry_after_wins_over_a_shorter_backoff_but_not_over_the_limit() {
        let throttled = Failure::status(429, "", "", Some(Duration::from_secs(2)));
        assert_eq!(pause(&throttled, Some(Duration::from_millis(100))), Some(Duration::from_secs(2)));
        assert_eq!(pause(&throttled, None), None);
    }

    #[test]
    fn backoff_with_a_limit_ends() {
        let pauses: Vec<_> = backoff(7, Some(Duration::from_secs(10))).collect();
        assert!(pauses.iter().sum::<Duration>() <= Duration::from_secs(10));
        assert!(pauses.len() > 3);
    }
}
