//! From lines of one container to what the log gets at once. Pure.

use std::{borrow::Cow, fmt::Write};

use crate::{
    logs::{
        divide::{Divider, Part},
        lines::Piece,
    },
    model::{
        log_position::{LogSource, Position},
        log_positions::SourcePosition,
        message::Level,
        policies::LogFormat,
    },
    text::one_line,
};

/// More lines in one record bring no further gain in Airflow.
const LINES_A_RECORD: usize = 100;
/// The same in bytes. A longer line is a record of its own.
const BYTES_A_RECORD: usize = 32 << 10;

/// Lines that a container wrote one after the other, at most a record of them; or a piece of a longer line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogLines {
    /// The time of each, as the kubelet wrote it, with newlines between.
    stamps: String,
    /// The text of each, with newlines between.
    text: String,
    /// How many.
    pub count: usize,
    /// Whether the first one is not a piece of a longer line.
    whole: bool,
    /// How far the log is delivered with the last one.
    pub position: Position,
}

impl LogLines {
    /// One line, or a piece of it.
    pub fn new(piece: &Piece<'_>, position: Position) -> Self {
        let whole = piece.last && piece.offset == 0;
        let mut line = Self { stamps: piece.stamp.to_owned(), text: String::new(), count: 1, whole, position };
        line.write(piece);
        line
    }

    /// What all of them have of the two limits of a record.
    pub fn bytes(&self) -> usize {
        self.stamps.len() + self.text.len()
    }

    /// Whether they are a record, to which nothing is added.
    pub fn full(&self) -> bool {
        self.count >= LINES_A_RECORD || self.bytes() >= BYTES_A_RECORD
    }

    /// Whether a record holds so many more lines, of so many bytes.
    fn has_room(&self, count: usize, bytes: usize) -> bool {
        self.count + count <= LINES_A_RECORD && self.bytes() + bytes <= BYTES_A_RECORD
    }

    /// Adds the next line of the same container, or a piece of it; false where it belongs into another record.
    pub fn add(&mut self, piece: &Piece<'_>, position: impl FnOnce() -> Position) -> bool {
        let room = self.has_room(1, piece.stamp.len() + piece.text.len());
        if room {
            self.stamps.push('\n');
            self.stamps.push_str(piece.stamp);
            self.text.push('\n');
            self.write(piece);
            self.count += 1;
            self.position = position();
        }
        room
    }

    /// Adds the next lines of the same container; gives them back where they belong into another record.
    pub fn join(&mut self, next: Self) -> Option<Self> {
        if !self.has_room(next.count, next.bytes()) {
            return Some(next);
        }
        for (own, more) in [(&mut self.stamps, &next.stamps), (&mut self.text, &next.text)] {
            own.push('\n');
            own.push_str(more);
        }
        self.count += next.count;
        self.position = next.position;
        None
    }

    fn write(&mut self, piece: &Piece<'_>) {
        let text = piece.text.strip_suffix(b"\r").filter(|_| piece.last).unwrap_or(piece.text);
        match std::str::from_utf8(text) {
            Ok(text) => self.text.push_str(text),
            Err(_) => self.text.push_str(&String::from_utf8_lossy(text)),
        }
    }
}

/// What the log gets at once: lines of one container, or a mark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The Pod's name.
    pub pod: String,
    /// The container's name.
    pub container: String,
    /// The lines. Where a Job has several sources, each begins with its own.
    pub text: String,
    /// How many lines of the container are in it.
    pub lines: usize,
    /// How they are divided into records of Airflow; one for a mark.
    pub parts: Vec<Part>,
    /// Whether this is not the container's text but a mark about its log.
    pub mark: bool,
    /// How far its log is delivered once this record is; none for a mark.
    pub position: Option<SourcePosition>,
}

/// What the lines of a record begin with, and how they look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    /// With their source.
    pub named: bool,
    /// As the user wants them.
    pub format: LogFormat,
}

impl Record {
    /// Our own words.
    pub(crate) fn mark(source: &LogSource, text: &str, style: Style) -> Self {
        let text = one_line(format!("{}{text}", prefix(source, style)));
        let parts = vec![Part { lines: 1, level: Level::Warning, timestamp: None }];
        Self { text, parts, mark: true, ..Self::empty(source) }
    }

    /// Lines in their order; `divider` divides them into parts.
    pub(crate) fn lines(source: &LogSource, lines: LogLines, style: Style, divider: &mut Divider) -> Self {
        let LogLines { stamps, text, count, whole, position } = lines;
        let prefix = prefix(source, style);
        let times = style.format.line_times && count > 1;
        let folded = if style.format.raw { Cow::Borrowed(text.as_str()) } else { last_states(&text) };
        let mut parts = divider.divide(&stamps, &folded, count, style.format);
        // Pieces of a long line may be equal, and Airflow shows one of records with equal time and text.
        if let Some(first) = parts.first_mut().filter(|_| !whole) {
            first.timestamp = None;
        }
        let text = match (prefix.as_str(), count) {
            ("", _) if !times => match folded {
                Cow::Borrowed(_) => text,
                Cow::Owned(folded) => folded,
            },
            (prefix, 1) => format!("{prefix}{folded}"),
            (prefix, _) => together(&stamps, &folded, count, prefix, times),
        };
        Self {
            text,
            lines: count,
            parts,
            position: Some(SourcePosition {
                pod: source.pod_uid.clone(),
                container: source.container.to_string(),
                position,
            }),
            ..Self::empty(source)
        }
    }

    fn empty(source: &LogSource) -> Self {
        Self {
            pod: source.pod.to_string(),
            container: source.container.to_string(),
            text: String::new(),
            lines: 0,
            parts: Vec::new(),
            mark: false,
            position: None,
        }
    }
}

fn together(stamps: &str, text: &str, count: usize, prefix: &str, times: bool) -> String {
    let mut together = String::with_capacity(text.len() + count * (prefix.len() + "06:00:00.123 ".len()));
    for (number, (stamp, line)) in stamps.split('\n').zip(text.split('\n')).enumerate() {
        let newline = if number > 0 { "\n" } else { "" };
        // Writing to a String cannot fail.
        _ = if times {
            write!(together, "{newline}{prefix}{} {line}", time_of_day(stamp))
        } else {
            write!(together, "{newline}{prefix}{line}")
        };
    }
    together
}

/// The lines as a terminal shows them at their end: what was written over by a carriage return, as progress bars do, is
/// left out.
fn last_states(text: &str) -> Cow<'_, str> {
    if memchr::memchr(b'\r', text.as_bytes()).is_none() {
        return Cow::Borrowed(text);
    }
    let states = |line: &'_ str| line.rsplit('\r').find(|state| !state.is_empty()).unwrap_or_default().to_owned();
    Cow::Owned(text.split('\n').map(states).collect::<Vec<_>>().join("\n"))
}

/// `[7] ` for the index 7 of an Indexed Job, else `[x2x9q/base] `: the end of the Pod's name that the Job controller
/// made up, and the container, which an index has if its Pod has others.
fn prefix(source: &LogSource, style: Style) -> String {
    if !style.named {
        return String::new();
    }
    match (&source.index, source.alone) {
        (Some(index), true) => format!("[{index}] "),
        (Some(index), false) => format!("[{index}/{}] ", source.container),
        (None, _) => {
            let pod = source.pod.as_str();
            let suffix = pod.rsplit('-').next().unwrap_or(pod);
            format!("[{suffix}/{}] ", source.container)
        }
    }
}

/// `06:00:00.123` of `2026-01-01T06:00:00.123456789Z`.
fn time_of_day(stamp: &str) -> &str {
    stamp.get(11..23).unwrap_or(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: LogFormat = LogFormat { line_times: true, line_levels: true, raw: false };
    const NAMED: Style = Style { named: true, format: TIMES };
    const BARE: Style = Style { named: false, format: LogFormat { line_times: false, ..TIMES } };

    fn record(source: &LogSource, lines: LogLines, style: Style) -> Record {
        Record::lines(source, lines, style, &mut Divider::default())
    }

    fn source() -> LogSource {
        LogSource {
            namespace: "etl".parse().unwrap(),
            pod: "train-abc".parse().unwrap(),
            pod_uid: "1".into(),
            container: "base".parse().unwrap(),
            index: None,
            alone: true,
        }
    }

    fn lines(numbers: std::ops::RangeInclusive<u32>) -> LogLines {
        let line = |number: u32| {
            let stamp = format!("2026-01-01T06:00:00.{number:03}456789Z");
            let text = format!("line {number}");
            let piece = Piece { stamp: &stamp, text: text.as_bytes(), offset: 0, last: true };
            LogLines::new(&piece, Position { delivered: Some(number.into()), ..Position::default() })
        };
        let mut lines = numbers.map(line);
        let first = lines.next().unwrap();
        lines.fold(first, |mut lines, next| {
            assert_eq!(lines.join(next), None);
            lines
        })
    }

    #[test]
    fn only_line_keeps_its_timestamp() {
        let made = record(&source(), lines(1..=1), Style { named: false, format: TIMES });
        assert_eq!(
            (made.text.as_str(), made.parts[0].timestamp.as_deref()),
            ("line 1", Some("2026-01-01T06:00:00.001456789Z"))
        );
    }

    #[test]
    fn piece_of_a_long_line_has_no_timestamp_by_which_equal_ones_would_be_dropped() {
        let stamp = "2026-01-01T06:00:00.001456789Z";
        for (offset, last) in [(0, false), (7, false), (7, true)] {
            let piece = Piece { stamp, text: b"part", offset, last };
            let made = record(&source(), LogLines::new(&piece, Position::default()), NAMED);
            assert_eq!((made.text.as_str(), &made.parts[0].timestamp), ("[abc/base] part", &None));
        }
    }

    #[test]
    fn several_lines_have_times_and_source_each_and_the_position_of_the_last_one() {
        let made = record(&source(), lines(1..=2), NAMED);
        assert_eq!(made.text, "[abc/base] 06:00:00.001 line 1\n[abc/base] 06:00:00.002 line 2");
        assert_eq!((made.lines, made.parts.len(), made.mark), (2, 2, false));
        assert_eq!(made.position.unwrap().position.delivered, Some(2));
        assert_eq!(record(&source(), lines(1..=2), BARE).text, "line 1\nline 2");
    }

    #[test]
    fn lines_that_are_empty_or_no_text_are_lines() {
        let stamp = "2026-01-01T06:00:00.001456789Z";
        let piece = |text| Piece { stamp, text, offset: 0, last: true };
        let mut lines = LogLines::new(&piece(b""), Position::default());
        for text in [b"".as_slice(), b"odd \xff\r", b"\r", b"end\rs"] {
            assert!(lines.add(&piece(text), Position::default));
        }
        let raw = Style { named: false, format: LogFormat { line_times: false, line_levels: false, raw: true } };
        assert_eq!(record(&source(), lines.clone(), raw).text, "\n\nodd \u{fffd}\n\nend\rs");
        let times = Style { named: false, format: TIMES };
        let expected = ["", "", "odd \u{fffd}", "", "s"].map(|text| format!("06:00:00.001 {text}")).join("\n");
        assert_eq!(record(&source(), lines, times).text, expected);
    }

    #[test]
    fn progress_is_shown_in_its_last_state() {
        let cases = [
            ("10%\r20%\r100%", "100%"),
            ("10%\r20%\r\r", "20%"),
            ("\rbegins so", "begins so"),
            ("\r\r", ""),
            ("no progress", "no progress"),
        ];
        for (line, expected) in cases {
            assert_eq!(
                last_states(&format!("before\n{line}\nafter")),
                format!("before\n{expected}\nafter"),
                "{line:?}"
            );
        }
    }

    #[test]
    fn lines_of_an_index_begin_with_its_number_and_the_container_only_beside_others() {
        let named = |alone| LogSource { index: Some("7".into()), alone, ..source() };
        let style = Style { named: true, format: BARE.format };
        assert_eq!(record(&named(true), lines(1..=2), style).text, "[7] line 1\n[7] line 2");
        assert_eq!(record(&named(false), lines(1..=1), style).text, "[7/base] line 1");
    }

    #[test]
    fn mark_is_no_line_and_moves_no_position() {
        let record = Record::mark(&source(), "--- restart 1 ---", NAMED);
        assert_eq!((record.text.as_str(), record.lines, record.mark), ("[abc/base] --- restart 1 ---", 0, true));
        assert_eq!(record.position, None);
    }
}
