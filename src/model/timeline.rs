//! Writes the small table at the end of the log: when a Job was created, scheduled, had its image, started, ended.
//! Pure.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{observed_job::JobReference, snapshot::Times};

/// The table, with one row for each moment, in seconds since the Job was created. Kubernetes keeps whole seconds.
#[must_use]
pub fn timeline(job: &JobReference, times: &Times) -> String {
    let mut text = format!("Timeline of {job}");
    let Some(created) = times.created else { return text };
    let _ = write!(text, "\n  created      {created}");
    let rows = [
        ("scheduled", times.scheduled),
        ("image ready", times.image_ready),
        ("started", times.started),
        ("ended", times.ended),
    ];
    // Only Events show when the image was ready, and they are listed only if something takes long. A row "not seen"
    // would mislead: a container that has started shows that its image was there.
    let known = |name: &str, time: Option<_>| time.is_some() || name != "image ready" || times.started.is_none();
    for (name, time) in rows.into_iter().filter(|(name, time)| known(name, *time)) {
        let _ = match time {
            Some(time) => write!(text, "\n  {name:<11}  +{} s", seconds(created, time)),
            None => write!(text, "\n  {name:<11}  not seen"),
        };
    }
    text
}

fn seconds(from: Timestamp, to: Timestamp) -> i64 {
    (to.as_second() - from.as_second()).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_has_its_row_and_what_was_not_seen_says_so() {
        let at = |seconds: i64| Some(Timestamp::from_second(1_767_250_800 + seconds).unwrap());
        let times = Times { created: at(0), scheduled: at(0), image_ready: at(1), started: None, ended: at(24) };
        let job = JobReference { namespace: "etl".parse().unwrap(), name: "train".parse().unwrap(), uid: "u".into() };
        let expected = "Timeline of Job `etl/train`\n  created      2026-01-01T07:00:00Z\n  scheduled    +0 s\n  \
                        image ready  +1 s\n  started      not seen\n  ended        +24 s";
        assert_eq!(timeline(&job, &times), expected);
        let times = Times { image_ready: None, started: at(2), ..times };
        let expected = "Timeline of Job `etl/train`\n  created      2026-01-01T07:00:00Z\n  scheduled    +0 s\n  \
                        started      +2 s\n  ended        +24 s";
        assert_eq!(timeline(&job, &times), expected, "the image was there before the start");
    }
}
