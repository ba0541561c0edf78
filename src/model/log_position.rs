//! Keeps how far the log of one run of one container was delivered, in about 100 bytes. Pure.
//!
//! The kubelet filters line by line by whole seconds (`sinceTime`) and replays in file order, so a second S and the
//! number of delivered lines at or after S say exactly where to go on. S stays one second behind the newest line,
//! because stdout and stderr are out of order in the file by fractions of a millisecond. The hash of the last line,
//! with its timestamp, proves that this is the right place. If the clock of the node stepped back, only the hash is
//! left, and reading starts at the beginning of the file.

use std::{borrow::Cow, cmp::Ordering, collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh64::Xxh64;

use crate::identity::{ContainerName, Namespace, PodName};

/// The length of `2026-01-01T00:00:00`, the precision of `sinceTime`.
const SECOND: usize = 19;

/// The position at which reading goes on in the log of one container of one Pod.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The run of the container, as its number of restarts.
    pub restart_count: i32,
    /// The whole second S, such as `2026-01-01T00:00:00Z`; none to read from the beginning.
    pub since: Option<Arc<str>>,
    /// The number of delivered lines at or after S, in file order; none if only the hash counts.
    pub delivered: Option<u64>,
    /// The hash of the last of these lines.
    pub last: u64,
    /// The delivered bytes of the line after them.
    pub partial: usize,
}

impl Position {
    /// Whether this is further on in the log than `other`. If the clock of a node stepped back, only the hash
    /// distinguishes positions, and the newer one is believed.
    #[must_use]
    pub fn further_than(&self, other: &Self) -> bool {
        match self.restart_count.cmp(&other.restart_count) {
            Ordering::Equal => {}
            runs => return runs == Ordering::Greater,
        }
        match (self.delivered, other.delivered) {
            (Some(delivered), Some(others)) => {
                (&self.since, delivered, self.partial) > (&other.since, others, other.partial)
            }
            _ => self != other,
        }
    }
}

/// Keeps a position up to date.
#[derive(Debug, Default)]
pub struct Tracker {
    /// S without its `Z`; empty while reading from the beginning.
    since: String,
    /// S with its `Z`, shared by all positions with this S.
    shared: Option<Arc<str>>,
    /// Delivered lines by their second, from S on.
    counts: BTreeMap<String, u64>,
    /// The newest second delivered: always S + 1 s.
    newest: String,
    /// The hash of the last delivered line; none as long as there is nothing to skip.
    last: Option<u64>,
    partial: usize,
    stepped_back: bool,
}

impl Tracker {
    /// A tracker that goes on from a position.
    #[must_use]
    pub fn new(position: &Position) -> Self {
        let since = position.since.as_deref().unwrap_or_default().trim_end_matches('Z').to_owned();
        let mut tracker = Self { newest: moved(&since, 1).unwrap_or_default(), since, ..Self::default() };
        tracker.share();
        tracker.partial = position.partial;
        match position.delivered {
            Some(0) => {}
            Some(count) => {
                tracker.recount(count);
                tracker.last = Some(position.last);
            }
            None => {
                tracker.stepped_back = true;
                tracker.last = Some(position.last);
            }
        }
        tracker
    }

    /// The position in this run.
    #[must_use]
    pub fn position(&self, restart_count: i32) -> Position {
        let since = self.shared.clone().filter(|_| !self.stepped_back);
        let delivered = match self.last {
            None => Some(0),
            Some(_) if self.stepped_back => None,
            Some(_) => Some(self.counts.values().sum()),
        };
        Position { restart_count, since, delivered, last: self.last.unwrap_or_default(), partial: self.partial }
    }

    /// The newest second delivered, if all lines after the position can only be newer or equal.
    #[must_use]
    pub fn newest(&self) -> Option<&str> {
        (!self.newest.is_empty() && !self.stepped_back).then_some(self.newest.as_str())
    }

    /// Notes the delivery of a piece that does not end its line.
    pub fn delivered_part(&mut self, until: usize) {
        self.partial = until;
    }

    /// Notes the delivery of a line to its end.
    pub fn delivered_line(&mut self, stamp: &str, hash: u64) {
        self.partial = 0;
        self.last = Some(hash);
        let second = second(stamp);
        if *second < *self.since {
            // Later lines may be older than S, too, so only reading from the beginning of the file finds them all.
            self.stepped_back = true;
        } else if let Some(count) = self.counts.get_mut(&*second) {
            *count += 1;
        } else {
            self.counts.insert(second.clone().into_owned(), 1);
        }
        if *second > *self.newest {
            self.newest = second.into_owned();
            if let Some(behind) = moved(&self.newest, -1) {
                self.counts = self.counts.split_off(&behind);
                self.since = behind;
                self.share();
            }
        }
    }

    fn share(&mut self) {
        self.shared = (!self.since.is_empty()).then(|| format!("{}Z", self.since).into());
    }

    /// Notes the second at which the container ended; newer lines prove that the clock stepped back.
    pub fn container_finished(&mut self, finished: &str) {
        self.stepped_back |= finished < self.since.as_str();
    }

    /// Takes in the delivered lines by second, as a replay has shown them: a stored or corrected number does not say
    /// how many lines belong to which second.
    pub fn replayed(&mut self, counts: BTreeMap<String, u64>) {
        self.counts = counts;
    }

    /// Notes that the first delivered lines were rotated away: of the lines that are left from S on, this many were
    /// delivered.
    pub fn recount(&mut self, delivered: u64) {
        self.counts = BTreeMap::from([(self.since.clone(), delivered)]);
    }

    /// Notes that no line that is left in the file was delivered.
    pub fn nothing_left(&mut self) {
        self.recount(0);
        self.last = None;
        self.partial = 0;
    }
}

/// The second of a timestamp, in UTC. The kubelet writes UTC as `Z`; runtimes that log in local time keep their zone.
pub fn second(stamp: &str) -> Cow<'_, str> {
    let own = || Cow::Borrowed(stamp.get(..SECOND).unwrap_or(stamp));
    if stamp.ends_with('Z') {
        return own();
    }
    stamp.parse::<Timestamp>().map_or_else(|_| own(), |time| Cow::Owned(time.to_string()[..SECOND].to_owned()))
}

/// The second that is `by` seconds later.
fn moved(second: &str, by: i64) -> Option<String> {
    let time: Timestamp = format!("{second}Z").parse().ok()?;
    let time = time.checked_add(SignedDuration::from_secs(by)).ok()?;
    Some(time.to_string()[..SECOND].to_owned())
}

/// The hash of a line, by which a replay of it is recognized; stable across versions.
#[derive(Default)]
pub struct LineHash(Xxh64);

impl LineHash {
    /// Takes the next bytes of the line.
    pub fn take(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all bytes that were taken.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.digest()
    }
}

impl std::fmt::Debug for LineHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}", self.value())
    }
}

/// One container of one Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSource {
    /// The Pod's namespace.
    pub namespace: Namespace,
    /// The Pod's name.
    pub pod: PodName,
    /// The Pod's uid.
    pub pod_uid: String,
    /// The container's name.
    pub container: ContainerName,
    /// The index of the Pod, where its Job is Indexed.
    pub index: Option<String>,
    /// Whether it is the only container of its Pod.
    pub alone: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracker(stamps: &[&str]) -> Tracker {
        let mut tracker = Tracker::default();
        for (hash, stamp) in (1..).zip(stamps) {
            tracker.delivered_line(stamp, hash);
        }
        tracker
    }

    #[test]
    fn resume_is_a_second_behind_the_newest_line_and_counts_from_there() {
        let position = tracker(&[
            "2026-01-01T00:00:01.500000000Z",
            "2026-01-01T00:00:59.900000000Z",
            "2026-01-01T00:01:00.100000000Z",
            "2026-01-01T00:00:59.999999999Z",
        ])
        .position(2);
        let since = Some("2026-01-01T00:00:59Z".into());
        assert_eq!(position, Position { restart_count: 2, since, delivered: Some(3), last: 4, partial: 0 });
    }

    #[test]
    fn line_older_than_the_resume_second_makes_the_hash_the_only_proof() {
        let position = tracker(&["2026-01-01T00:00:20.000000000Z", "2026-01-01T00:00:05.000000000Z"]).position(0);
        assert_eq!(position, Position { last: 2, ..Position { delivered: None, ..Position::default() } });
    }

    #[test]
    fn stored_position_takes_about_a_hundred_bytes_and_comes_back_equal() {
        let position = tracker(&["2026-01-01T00:00:20.000000000Z"]).position(1);
        let stored = serde_json::to_string(&position).unwrap();
        assert!(stored.len() <= 130, "{stored}");
        let read: Position = serde_json::from_str(&stored).unwrap();
        assert_eq!(Tracker::new(&read).position(1), position);
    }

    #[test]
    fn timestamp_with_a_zone_counts_in_utc() {
        assert_eq!(second("2026-01-01T01:30:00.000000001+02:00"), "2025-12-31T23:30:00");
        assert_eq!(second("2026-01-01T01:30:00.000000001Z"), "2026-01-01T01:30:00");
    }
}
