//! Divides the lines that are taken together into records of Airflow. Pure.
//!
//! Promise: where lines come slowly, each is a record with its container's time and its level. Airflow's cost is for a
//! record, not for a line, so where lines come fast they stay together: a Job gets at most [`ROOM`] records more at once
//! and [`A_SECOND`] more a second than it would if nothing were divided. Lines that stay together have the level of the
//! most severe of them. Every line is in exactly one part, in its place.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::level::LevelReader;
use crate::model::{log_position::LogSource, message::Level, policies::LogFormat};

/// So many records more at once, after a pause.
const ROOM: u32 = 60;
/// So many more a second.
const A_SECOND: u32 = 10;

/// Lines that are one record of Airflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// How many.
    pub lines: usize,
    /// That of the most severe.
    pub level: Level,
    /// When the first was written, as the kubelet says.
    pub timestamp: Option<String>,
}

/// Divides the lines of one Job.
#[derive(Debug)]
pub(crate) struct Divider {
    /// How many records more there may be now.
    room: u32,
    /// When that was so.
    since: Instant,
    /// Whose lines came last, and what is known of their levels.
    source: Option<Arc<LogSource>>,
    levels: LevelReader,
}

impl Default for Divider {
    fn default() -> Self {
        Self { room: ROOM, since: Instant::now(), source: None, levels: LevelReader::default() }
    }
}

impl Divider {
    /// Whose lines come next.
    pub fn of(&mut self, source: &Arc<LogSource>) -> &mut Self {
        if self.source.as_ref().is_none_or(|last| !Arc::ptr_eq(last, source)) {
            self.levels = LevelReader::default();
            self.source = Some(Arc::clone(source));
        }
        self
    }

    /// Divides so many lines, at least one.
    pub fn divide(&mut self, stamps: &str, text: &str, count: usize, format: LogFormat) -> Vec<Part> {
        let each = !format.raw && (count == 1 || self.take(count - 1));
        if !each && !format.line_levels {
            let timestamp = stamps.split('\n').next().map(str::to_owned);
            return vec![Part { lines: count, level: Level::Info, timestamp }];
        }
        let mut parts: Vec<Part> = Vec::new();
        for (stamp, line) in stamps.split('\n').zip(text.split('\n')) {
            let level = if format.line_levels { self.levels.next(line) } else { Level::Info };
            match parts.last_mut() {
                Some(last) if !each && last.level == level => last.lines += 1,
                _ => parts.push(Part { lines: 1, level, timestamp: Some(stamp.to_owned()) }),
            }
        }
        if !each && parts.len() > 1 && !self.take(parts.len() - 1) {
            let level = parts.iter().map(|part| part.level).max().unwrap_or(Level::Info);
            parts.truncate(1);
            parts[0] = Part { lines: count, level, timestamp: parts[0].timestamp.take() };
        }
        parts
    }

    /// Whether there may be so many records more; they are counted then.
    fn take(&mut self, more: usize) -> bool {
        let now = Instant::now();
        let step = Duration::from_secs(1) / A_SECOND;
        let gained = now.duration_since(self.since).as_nanos() / step.as_nanos();
        let gained = u32::try_from(gained).unwrap_or(ROOM).min(ROOM);
        if self.room + gained >= ROOM {
            (self.room, self.since) = (ROOM, now);
        } else {
            self.room += gained;
            self.since += step * gained;
        }
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        let fits = more <= self.room;
        if fits {
            self.room -= more;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn divided(divider: &mut Divider, lines: &[&str], format: LogFormat) -> Vec<(usize, Level)> {
        let stamps: Vec<_> = (0..lines.len()).map(|number| format!("stamp {number}")).collect();
        let parts = divider.divide(&stamps.join("\n"), &lines.join("\n"), lines.len(), format);
        let mut at = 0;
        for part in &parts {
            assert_eq!(part.timestamp.as_deref(), Some(format!("stamp {at}").as_str()), "of its first line");
            at += part.lines;
        }
        parts.into_iter().map(|part| (part.lines, part.level)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn lines_that_come_slowly_are_a_record_each() {
        let mut divider = Divider::default();
        for _ in 0..100 {
            let parts = divided(&mut divider, &["a", "ERROR b", "c"], LogFormat::default());
            assert_eq!(parts, [(1, Level::Info), (1, Level::Error), (1, Level::Info)]);
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lines_that_come_fast_stay_together_and_a_few_of_another_level_are_found() {
        let mut divider = Divider::default();
        let mut lines = vec!["x"; 100];
        lines[40] = "ERROR gone";
        let parts = divided(&mut divider, &lines, LogFormat::default());
        assert_eq!(parts, [(40, Level::Info), (1, Level::Error), (59, Level::Info)]);
        // Those that alternate have no room.
        let alternate: Vec<_> = (0..100).map(|number| if number % 2 == 0 { "x" } else { "WARN slow" }).collect();
        assert_eq!(divided(&mut divider, &alternate, LogFormat::default()), [(100, Level::Warning)]);
        let plain = LogFormat { line_levels: false, ..LogFormat::default() };
        assert_eq!(divided(&mut divider, &alternate, plain), [(100, Level::Info)]);
    }

    #[test]
    fn raw_lines_stay_together() {
        let raw = LogFormat { line_levels: false, raw: true, line_times: false };
        assert_eq!(divided(&mut Divider::default(), &["a", "ERROR b"], raw), [(2, Level::Info)]);
    }

    proptest! {
        #[test]
        fn whatever_comes_every_line_is_in_one_part_and_the_records_more_are_bounded(
            batches in prop::collection::vec((prop::collection::vec(0_usize..3, 1..100), 0_u64..300), 1..80),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let (mut divider, begin, mut more) = (Divider::default(), Instant::now(), 0);
                for (kinds, pause) in batches {
                    let lines: Vec<_> = kinds.iter().map(|kind| ["x", "ERROR e", "WARN w"][*kind]).collect();
                    let parts = divided(&mut divider, &lines, LogFormat::default());
                    prop_assert_eq!(parts.iter().map(|(lines, _)| lines).sum::<usize>(), lines.len());
                    more += parts.len() - 1;
                    let allowed = u128::from(ROOM) + begin.elapsed().as_millis() * u128::from(A_SECOND) / 1_000;
                    prop_assert!(more as u128 <= allowed, "{} of {}", more, allowed);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                Ok(())
            })?;
        }
    }
}
