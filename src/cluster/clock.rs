//! Keeps the clock of the API server, from the `Date` of its answers. The API server wrote when something began, so its
//! clock, and not that of this machine, says how long it has lasted.
//!
//! The clock has whole seconds, and may be up to one second behind. Before the first answer it is the clock of this
//! machine.

use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, header};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use tokio::time::Instant;

#[derive(Default)]
pub(super) struct ServerClock(Mutex<Option<(Timestamp, Instant)>>);

impl ServerClock {
    /// Takes the time from an answer.
    pub fn hear(&self, headers: &HeaderMap) {
        let date = headers.get(header::DATE).and_then(|date| date.to_str().ok());
        let Some(date) = date.and_then(|date| rfc2822::DateTimeParser::new().parse_timestamp(date).ok()) else {
            return;
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((date, Instant::now()));
    }

    pub fn now(&self) -> Timestamp {
        let heard = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = |at: Instant| SignedDuration::try_from(at.elapsed()).unwrap_or_default();
        heard.map_or_else(Timestamp::now, |(date, at)| date.saturating_add(passed(at)).unwrap_or(date))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn clock_of_the_server_goes_on_from_its_last_answer() {
        let clock = ServerClock::default();
        let headers = HeaderMap::from_iter([(header::DATE, "Tue, 06 Jan 2026 10:00:00 GMT".parse().unwrap())]);
        clock.hear(&headers);
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(clock.now(), "2026-01-06T10:01:30Z".parse().unwrap());
        clock.hear(&HeaderMap::from_iter([(header::DATE, "yesterday".parse().unwrap())]));
        assert_eq!(clock.now(), "2026-01-06T10:01:30Z".parse().unwrap(), "what is no date changes nothing");
    }
}
