//! Writes the small table at the end of the log: when a Job was created, scheduled, had its image, started, ended.
//! Pure. Of many Pods it tells of the first, and of the last where that is another.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::{observed_job::JobReference, snapshot::Times};

/// The table, with one row for each moment, in seconds since the Job was created. Kubernetes keeps whole seconds.
#[must_use]
pub fn timeline(job: &JobReference, times: &Times) -> String {
    let Some(created) = times.created else { return format!("Timeline of {job}") };
    let mut text = format!("Timeline of {job}, in seconds since it was created at {created:.0}");
    let rows = [
        ("scheduled", times.scheduled, times.last_scheduled),
        ("image ready", times.image_ready, None),
        ("started", times.started, times.last_started),
        ("ended", times.ended, None),
    ];
    // Only Events show when the image was ready, and they are listed only if something takes long. A row "not seen"
    // would mislead: a container that has started shows that its image was there.
    let known = |name: &str, time: Option<_>| time.is_some() || name != "image ready" || times.started.is_none();
    for (name, time, last) in rows.into_iter().filter(|(name, time, _)| known(name, *time)) {
        let _ = match (time, last.filter(|last| Some(*last) != time)) {
            (Some(time), Some(last)) => {
                write!(
                    text,
                    "\n  {name:<11}  +{} s, the last Pod +{} s",
                    seconds(created, time),
                    seconds(created, last)
                )
            }
            (Some(time), None) => write!(text, "\n  {name:<11}  +{} s", seconds(created, time)),
            (None, _) => write!(text, "\n  {name:<11}  not seen"),
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
        let times = Times { created: at(0), scheduled: at(0), image_ready: at(1), ended: at(24), ..Times::default() };
        let job = JobReference { namespace: "etl".parse().unwrap(), name: "train".parse().unwrap(), uid: "u".into() };
        let expected = "Timeline of Job `etl/train`, in seconds since it was created at 2026-01-01T07:00:00Z\n  scheduled    \
                        +0 s\n  image ready  +1 s\n  started      not seen\n  ended        +24 s";
        assert_eq!(timeline(&job, &times), expected);
        let times = Times { image_ready: None, started: at(2), ..times };
        let expected = "Timeline of Job `etl/train`, in seconds since it was created at 2026-01-01T07:00:00Z\n  scheduled    \
                        +0 s\n  started      +2 s\n  ended        +24 s";
        assert_eq!(timeline(&job, &times), expected, "the image was there before the start");
        let times = Times { last_scheduled: at(0), last_started: at(16), ..times };
        let of_many = timeline(&job, &times);
        assert!(of_many.contains("scheduled    +0 s\n  started      +2 s, the last Pod +16 s\n"), "{of_many}");
    }
}
