//! From lines of one container to one entry of the task log. Pure.

use std::fmt::Write;

use crate::{
    model::{
        log_position::{LogSource, Position},
        log_positions::SourcePosition,
    },
    text::one_line,
};

/// Something a container wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogLine {
    /// Its time, as the kubelet wrote it.
    pub stamp: String,
    pub text: String,
    /// Whether it is not a piece of a longer line.
    pub whole: bool,
    /// How far the log is delivered with it.
    pub position: Position,
}

/// One entry for the task log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The Pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// One line, or several with their times before them. Where a Job has several sources, each begins with its own.
    pub text: String,
    /// How many lines of the container are in it.
    pub lines: usize,
    /// The time of its only line, as the kubelet wrote it.
    pub timestamp: Option<String>,
    /// Whether this is not the container's text but a mark about its log.
    pub mark: bool,
    /// How far its log is delivered once this record is; none for a mark.
    pub position: Option<SourcePosition>,
}

/// What the lines of a record begin with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// With their source.
    pub named: bool,
    /// With their times, where there are several.
    pub times: bool,
}

impl Record {
    /// Our own words.
    pub(crate) fn mark(source: &LogSource, text: &str, style: Style) -> Self {
        Self { text: one_line(format!("{}{text}", prefix(source, style))), mark: true, ..Self::empty(source) }
    }

    /// Lines in their order, at least one.
    pub(crate) fn lines(source: &LogSource, lines: Vec<LogLine>, style: Style) -> Self {
        let prefix = prefix(source, style);
        let (count, position) = (lines.len(), lines.last().map(|line| line.position.clone()));
        let (text, timestamp) = match <[LogLine; 1]>::try_from(lines) {
            // Pieces of a long line may be equal, and Airflow shows one of records with equal time and text.
            Ok([line]) => (format!("{prefix}{}", line.text), line.whole.then_some(line.stamp)),
            Err(lines) => (together(&lines, &prefix, style), None),
        };
        let position = position.map(|position| SourcePosition {
            pod: source.pod_uid.clone(),
            container: source.container.to_string(),
            position,
        });
        Self { text, lines: count, timestamp, position, ..Self::empty(source) }
    }

    fn empty(source: &LogSource) -> Self {
        Self {
            pod: source.pod.to_string(),
            container: source.container.to_string(),
            text: String::new(),
            lines: 0,
            timestamp: None,
            mark: false,
            position: None,
        }
    }
}

fn together(lines: &[LogLine], prefix: &str, style: Style) -> String {
    let bytes = lines.iter().map(|line| line.text.len() + prefix.len() + "06:00:00.123 \n".len()).sum();
    let mut together = String::with_capacity(bytes);
    for (number, LogLine { stamp, text, .. }) in lines.iter().enumerate() {
        let newline = if number > 0 { "\n" } else { "" };
        // Writing to a String cannot fail.
        _ = if style.times {
            write!(together, "{newline}{prefix}{} {text}", time_of_day(stamp))
        } else {
            write!(together, "{newline}{prefix}{text}")
        };
    }
    together
}

/// `[x2x9q/base] `: the end of the Pod's name that the Job controller made up, and the container.
fn prefix(source: &LogSource, style: Style) -> String {
    if !style.named {
        return String::new();
    }
    let pod = source.pod.as_str();
    let suffix = pod.rsplit('-').next().unwrap_or(pod);
    format!("[{suffix}/{}] ", source.container)
}

/// `06:00:00.123` of `2026-01-01T06:00:00.123456789Z`.
fn time_of_day(stamp: &str) -> &str {
    stamp.get(11..23).unwrap_or(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMED: Style = Style { named: true, times: true };
    const BARE: Style = Style { named: false, times: false };

    fn source() -> LogSource {
        LogSource {
            namespace: "etl".parse().unwrap(),
            pod: "train-abc".parse().unwrap(),
            pod_uid: "1".into(),
            container: "base".parse().unwrap(),
        }
    }

    fn line(number: u32) -> LogLine {
        LogLine {
            stamp: format!("2026-01-01T06:00:00.{number:03}456789Z"),
            text: format!("line {number}"),
            whole: true,
            position: Position { delivered: Some(number.into()), ..Position::default() },
        }
    }

    #[test]
    fn only_line_keeps_its_timestamp() {
        let record = Record::lines(&source(), vec![line(1)], Style { named: false, times: true });
        assert_eq!(
            (record.text.as_str(), record.timestamp.as_deref()),
            ("line 1", Some("2026-01-01T06:00:00.001456789Z"))
        );
    }

    #[test]
    fn piece_of_a_long_line_has_no_timestamp_by_which_equal_ones_would_be_dropped() {
        let record = Record::lines(&source(), vec![LogLine { whole: false, ..line(1) }], NAMED);
        assert_eq!(record.timestamp, None);
    }

    #[test]
    fn several_lines_have_times_and_source_each_and_the_position_of_the_last_one() {
        let record = Record::lines(&source(), vec![line(1), line(2)], NAMED);
        assert_eq!(record.text, "[abc/base] 06:00:00.001 line 1\n[abc/base] 06:00:00.002 line 2");
        assert_eq!((record.lines, record.timestamp, record.mark), (2, None, false));
        assert_eq!(record.position.unwrap().position.delivered, Some(2));
        assert_eq!(Record::lines(&source(), vec![line(1), line(2)], BARE).text, "line 1\nline 2");
    }

    #[test]
    fn mark_is_no_line_and_moves_no_position() {
        let record = Record::mark(&source(), "--- restart 1 ---", NAMED);
        assert_eq!((record.text.as_str(), record.lines, record.mark), ("[abc/base] --- restart 1 ---", 0, true));
        assert_eq!(record.position, None);
    }
}
