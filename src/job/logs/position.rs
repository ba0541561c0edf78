//! How far the log of one container was delivered, in about 100 bytes. Pure.
//!
//! The API server filters by whole seconds (`sinceTime`) and replays in file order, so a second S and the number
//! of lines at or after S that were delivered say exactly where to go on. S stays at least one second behind the
//! newest line, because stdout and stderr are out of order in the file by fractions of a millisecond.

use std::{collections::BTreeMap, hash::Hasher};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// `2026-01-01T00:00:00`: what `sinceTime` can tell apart.
const SECOND: usize = 19;

/// Where reading goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// The whole second S, such as `2026-01-01T00:00:00Z`; none to read from the beginning.
    pub since: Option<String>,
    /// Lines at or after S, in file order, that were delivered.
    pub delivered: u64,
    /// The hash of the last one of them.
    pub last: u64,
    /// Bytes delivered of the line after them.
    pub partial: usize,
}

/// Keeps a position up to date.
#[derive(Debug, Default)]
pub struct Tracker {
    /// S without its `Z`; empty while reading from the beginning.
    since: String,
    /// Delivered lines by their second, from S on.
    counts: BTreeMap<String, u64>,
    /// The newest second delivered.
    newest: String,
    last: u64,
    partial: usize,
    /// Delivered lines in all, for when the clock of the node steps back.
    total: u64,
    stepped_back: bool,
}

impl Tracker {
    /// A tracker that goes on from a position.
    #[must_use]
    pub fn new(position: Option<Position>) -> Self {
        let Some(position) = position else { return Self::default() };
        let since = position.since.map(|since| since.trim_end_matches('Z').to_owned()).unwrap_or_default();
        Self {
            counts: BTreeMap::from([(since.clone(), position.delivered)]),
            newest: since.clone(),
            since,
            last: position.last,
            partial: position.partial,
            total: position.delivered,
            stepped_back: false,
        }
    }

    /// Where to go on.
    #[must_use]
    pub fn position(&self) -> Position {
        let (since, delivered) = if self.since.is_empty() || self.stepped_back {
            (None, self.total)
        } else {
            (Some(format!("{}Z", self.since)), self.counts.values().sum())
        };
        Position { since, delivered, last: self.last, partial: self.partial }
    }

    /// A piece was delivered that does not end its line.
    pub fn delivered_part(&mut self, until: usize) {
        self.partial = until;
    }

    /// A line was delivered to its end.
    pub fn delivered_line(&mut self, stamp: &str, hash: u64) {
        self.partial = 0;
        self.last = hash;
        self.total += 1;
        let second = &stamp[..SECOND.min(stamp.len())];
        if second < self.since.as_str() {
            // Later lines may be older than S, too: only the beginning of the file finds them all.
            self.stepped_back = true;
            return;
        }
        match self.counts.get_mut(second) {
            Some(count) => *count += 1,
            None => _ = self.counts.insert(second.to_owned(), 1),
        }
        if second > self.newest.as_str() {
            second.clone_into(&mut self.newest);
            self.advance();
        }
    }

    /// The file was rotated: of what it holds from S on, so many lines were delivered. With none, neither was any
    /// part of the line after them.
    pub fn recount(&mut self, delivered: u64) {
        self.counts = BTreeMap::from([(self.since.clone(), delivered)]);
        self.total = delivered;
        if delivered == 0 {
            self.partial = 0;
        }
    }

    fn advance(&mut self) {
        let Some(behind) = second_before(&self.newest) else { return };
        if behind.as_str() <= self.since.as_str() {
            return;
        }
        self.counts = self.counts.split_off(&behind);
        self.since = behind;
    }
}

fn second_before(second: &str) -> Option<String> {
    let time: Timestamp = format!("{second}Z").parse().ok()?;
    let before = time.checked_sub(SignedDuration::from_secs(1)).ok()?;
    Some(before.to_string()[..SECOND].to_owned())
}

/// The hash of a line that is compared when its replay is expected; stable across versions.
#[derive(Default)]
pub struct LineHash(fnv::FnvHasher);

impl LineHash {
    /// Takes the next bytes of the line.
    pub fn take(&mut self, bytes: &[u8]) {
        self.0.write(bytes);
    }

    /// The hash of all that was taken.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.finish()
    }
}
