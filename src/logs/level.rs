//! Finds the level that a line of a container names, in the formats that programs commonly write. Pure.
//!
//! Promise: it reads the beginning of a line alone, so a line costs the same however long it is. In doubt a line names
//! no level: a level is a word of its own, in capitals or in the format's own field, at the line's head. Nothing is ever
//! less than [`Level::Info`], because Airflow would leave it out. Known formats: logfmt, JSON, Python's logging,
//! log4j, klog, and what resembles them (slog, zap, loguru, nginx, Spark).

use memchr::memmem;

use crate::model::message::Level;

/// How much of a line is read where it is not JSON, and where it is: its keys come in any order.
const HEAD: usize = 160;
const JSON_HEAD: usize = 2 << 10;
/// The level stands behind at most so many words: date, time, zone, process, thread, logger, separators.
const WORDS: usize = 10;
/// A longer word is no level.
const LONGEST: usize = 10;

/// Finds the level of each line of one container, one after the other: the lines of a traceback have that of its head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LevelReader {
    /// Of the last line, where it is more than ordinary.
    last: Option<Level>,
    /// Whether the last line belongs to a traceback of Python, which ends with a line that is not indented.
    traceback: bool,
}

impl LevelReader {
    /// The level of the next line.
    pub fn next(&mut self, line: &str) -> Level {
        let indented = line.starts_with([' ', '\t']) && !line.trim_start().is_empty();
        let named = level_named(line);
        let (level, traceback) = match (named, self.last) {
            (Some(level), _) => (level, false),
            _ if line.starts_with("Traceback (most recent call last)") => (Level::Error, true),
            (None, Some(last)) if indented => (last, self.traceback),
            (None, Some(last)) if self.traceback && !line.is_empty() => (last, false),
            (None, Some(last)) if line.starts_with("Caused by: ") => (last, false),
            _ => (Level::Info, false),
        };
        *self = Self { last: (level > Level::Info).then_some(level), traceback };
        level
    }
}

/// The level that a line names.
fn level_named(line: &str) -> Option<Level> {
    let bytes = line.as_bytes();
    match bytes.first()? {
        b'{' => return json(&bytes[..bytes.len().min(JSON_HEAD)]),
        b'I' | b'W' | b'E' | b'F' if is_klog(bytes) => {
            return Some(match bytes[0] {
                b'I' => Level::Info,
                b'W' => Level::Warning,
                _ => Level::Error,
            });
        }
        _ => {}
    }
    let mut head = &bytes[..bytes.len().min(HEAD)];
    let plain: Vec<u8>;
    if memchr::memchr(0x1b, head).is_some() {
        plain = without_colours(head);
        head = &plain;
    }
    logfmt(head).or_else(|| at_the_head(head))
}

/// `E0102 15:04:05.678901       1 main.go:7] words`
fn is_klog(line: &[u8]) -> bool {
    line.len() > 8 && line[1..5].iter().all(u8::is_ascii_digit) && line[5] == b' ' && line[8] == b':'
}

/// The value of a field that is commonly a level.
fn json(head: &[u8]) -> Option<Level> {
    const KEYS: [&[u8]; 5] = [br#""level""#, br#""severity""#, br#""levelname""#, br#""log.level""#, br#""lvl""#];
    KEYS.iter().find_map(|key| {
        let value = head[memmem::find(head, key)? + key.len()..].trim_ascii_start().strip_prefix(b":")?;
        let value = value.trim_ascii_start();
        match value.strip_prefix(b"\"") {
            Some(text) => word(&text[..memchr::memchr(b'"', &text[..text.len().min(LONGEST + 1)])?]),
            None => number(value),
        }
    })
}

/// The numbers of bunyan and pino.
fn number(value: &[u8]) -> Option<Level> {
    let digits = value.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match &value[..digits] {
        b"10" | b"20" | b"30" => Some(Level::Info),
        b"40" => Some(Level::Warning),
        b"50" | b"60" => Some(Level::Error),
        _ => None,
    }
}

/// `level=error`, as a word of its own.
fn logfmt(head: &[u8]) -> Option<Level> {
    const KEYS: [&[u8]; 3] = [b"level=", b"lvl=", b"severity="];
    memchr::memchr(b'=', head)?;
    KEYS.iter().find_map(|key| {
        let at = memmem::find(head, key)?;
        let own = at == 0 || head[at - 1].is_ascii_whitespace();
        let value = &head[at + key.len()..];
        let value = value.strip_prefix(b"\"").unwrap_or(value);
        let end = value.iter().position(|byte| !byte.is_ascii_alphabetic()).unwrap_or(value.len());
        if own { word(&value[..end]) } else { None }
    })
}

/// A level among the words before the text: the first one, or behind a time, a logger and the like.
fn at_the_head(head: &[u8]) -> Option<Level> {
    let mut words = head.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).take(WORDS).peekable();
    let mut before: Option<&[u8]> = None;
    while let Some(whole) = words.next() {
        let bare = trimmed(whole);
        let first = before.is_none();
        if let Some(level) = capitals(bare).or_else(|| bracketed(whole, bare)) {
            return Some(level);
        }
        if first && let Some(level) = begins(whole) {
            return Some(level);
        }
        let separated = before.is_some_and(is_separator) || words.peek().copied().is_some_and(is_separator);
        if !(is_separator(whole) || separated || is_of_a_head(whole, first)) {
            return None;
        }
        before = Some(whole);
    }
    None
}

/// `ERROR`, in capitals.
fn capitals(bare: &[u8]) -> Option<Level> {
    let capital = bare.len() >= 3 && bare.iter().all(u8::is_ascii_uppercase);
    if capital { word(bare) } else { None }
}

/// `[error]`, in any case.
fn bracketed(whole: &[u8], bare: &[u8]) -> Option<Level> {
    let own = matches!(whole.first()?, b'[' | b'<' | b'(');
    if own { word(bare) } else { None }
}

/// `ERROR:root:no such row` and `error: no such row`.
fn begins(first: &[u8]) -> Option<Level> {
    word(&first[..memchr::memchr(b':', first)?])
}

/// Whether a word may stand before a level: a date, a time, a logger, what is in brackets. A word of a sentence may not.
fn is_of_a_head(word: &[u8], first: bool) -> bool {
    let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
    let marks = word.iter().filter(|byte| matches!(byte, b':' | b'-' | b'/' | b'.' | b'_')).count();
    let bracketed = matches!(word.first(), Some(b'[' | b'(' | b'{' | b'<'));
    let closed = matches!(word.last(), Some(b']' | b')' | b'}' | b'>'));
    let zone = !first && (2..=4).contains(&word.len()) && word.iter().all(u8::is_ascii_uppercase);
    zone || bracketed || closed || (digits > 0 && (marks > 0 || !first)) || (marks > 0 && word.last() != Some(&b'.'))
}

fn is_separator(word: &[u8]) -> bool {
    matches!(word, b"-" | b"|" | b"--" | b"---" | b":")
}

fn trimmed(word: &[u8]) -> &[u8] {
    let mark = |byte: &u8| !byte.is_ascii_alphanumeric();
    let begin = word.iter().position(|byte| !mark(byte)).unwrap_or(word.len());
    let end = word.iter().rposition(|byte| !mark(byte)).map_or(begin, |last| last + 1);
    &word[begin..end.max(begin)]
}

/// The level of this name, in any case.
fn word(name: &[u8]) -> Option<Level> {
    const NAMES: [(&str, Level); 19] = [
        ("info", Level::Info),
        ("error", Level::Error),
        ("warn", Level::Warning),
        ("warning", Level::Warning),
        ("debug", Level::Info),
        ("trace", Level::Info),
        ("notice", Level::Info),
        ("information", Level::Info),
        ("verbose", Level::Info),
        ("fatal", Level::Error),
        ("critical", Level::Error),
        ("severe", Level::Error),
        ("panic", Level::Error),
        ("err", Level::Error),
        ("crit", Level::Error),
        ("alert", Level::Error),
        ("emerg", Level::Error),
        ("emergency", Level::Error),
        ("dpanic", Level::Error),
    ];
    if !(3..=LONGEST + 1).contains(&name.len()) {
        return None;
    }
    NAMES.iter().find(|(known, _)| known.as_bytes().eq_ignore_ascii_case(name)).map(|(_, level)| *level)
}

/// The text without the escape sequences that colour it.
fn without_colours(head: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(head.len());
    let mut bytes = head.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != 0x1b {
            plain.push(byte);
        } else if bytes.next() == Some(b'[') {
            bytes.by_ref().find(u8::is_ascii_alphabetic);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn common_formats_name_their_level() {
        use Level::{Error, Info, Warning};
        let cases = [
            ("ERROR no route to host", Some(Error)),
            ("WARN 3 rows have no customer", Some(Warning)),
            ("INFO begins", Some(Info)),
            // logfmt, Go's slog
            ("level=error msg=\"no route\"", Some(Error)),
            ("time=2026-01-01T00:00:00Z level=WARN msg=slow", Some(Warning)),
            ("ts=1 lvl=\"info\" msg=x", Some(Info)),
            // JSON: zap, logrus, structlog, Google's, Elastic's, bunyan
            (r#"{"level":"error","msg":"retrying"}"#, Some(Error)),
            (r#"{"event": "slow", "level": "warning"}"#, Some(Warning)),
            (r#"{"severity": "CRITICAL", "message": "gone"}"#, Some(Error)),
            (r#"{"@timestamp":"2026","log.level":"WARN"}"#, Some(Warning)),
            (r#"{"name":"api","level":50,"msg":"x"}"#, Some(Error)),
            (r#"{"level":"info","msg":"\"level\":\"error\""}"#, Some(Info)),
            // Python
            ("ERROR:root:no such row", Some(Error)),
            ("2026-01-01 06:00:00,123 - etl.load - WARNING - slow", Some(Warning)),
            ("2026-01-01 06:00:00,123 - root - ERROR - no such row", Some(Error)),
            ("[2026-01-01 06:00:00,123] {load.py:7} ERROR - no such row", Some(Error)),
            ("[2026-01-01 06:00:00,123: WARNING/MainProcess] slow", None),
            ("2026-01-01 06:00:00.123 | ERROR    | etl.load:run:7 - no such row", Some(Error)),
            // log4j, Spark, logback, JUL, Rust, zap on a terminal, nginx, PostgreSQL
            ("2026-01-01 06:00:00,123 ERROR [main] com.example.Load: gone", Some(Error)),
            ("26/01/01 06:00:00 WARN NativeCodeLoader: no native library", Some(Warning)),
            ("06:00:00.123 [main] ERROR com.example.Load - gone", Some(Error)),
            ("[main] WARN com.example.Load - slow", Some(Warning)),
            ("SEVERE: gone", Some(Error)),
            ("[2026-01-01T06:00:00Z ERROR load::run] gone", Some(Error)),
            ("2026-01-01T06:00:00.123Z\tERROR\tload/run.go:7\tgone", Some(Error)),
            ("2026/01/01 06:00:00 [error] 12#0: *1 gone", Some(Error)),
            ("2026-01-01 06:00:00.123 UTC [12] ERROR:  relation is gone", Some(Error)),
            ("ERROR:  relation \"x\" is gone", Some(Error)),
            // klog
            ("E0102 widgets", None),
            ("E0102 06:00:00.123456       1 main.go:7] gone", Some(Error)),
            ("W0102 06:00:00.123456       1 main.go:7] slow", Some(Warning)),
            ("I0102 06:00:00.123456       1 main.go:7] ERROR is only said", Some(Info)),
            // programs that say it in words
            ("error: no such file", Some(Error)),
            ("Error: Cannot find module", Some(Error)),
            ("fatal: not a git repository", Some(Error)),
            ("warning: unused", Some(Warning)),
            ("\u{1b}[31mERROR\u{1b}[0m gone", Some(Error)),
            // sentences, tables, and what only resembles a level
            ("found 3 rows, no ERROR", None),
            ("3 ERROR rows were dropped", None),
            ("Errors: 0", None),
            ("errors=0 warnings=0", None),
            ("compression level=9", None),
            ("toplevel=error", None),
            ("the error is gone", None),
            ("Information about the run", None),
            ("ERRORS 0", None),
            ("row,7,ERROR", None),
            ("EOF", None),
            ("", None),
            ("   ", None),
            ("{", None),
            ("\u{fffd}\u{fffd}", None),
        ];
        for (line, expected) in cases {
            assert_eq!(level_named(line), expected, "{line}");
        }
    }

    #[test]
    fn debug_lines_are_not_left_out_by_airflow() {
        for line in ["DEBUG x", "level=trace", r#"{"level":"debug"}"#] {
            assert_eq!(level_named(line), Some(Level::Info), "{line}");
        }
    }

    #[test]
    fn lines_of_a_traceback_have_the_level_of_its_head() {
        use Level::{Error, Info, Warning};
        let lines = [
            ("begins", Info),
            ("  indented without a reason", Info),
            ("ERROR:root:gone", Error),
            ("Traceback (most recent call last):", Error),
            ("  File \"x.py\", line 1, in <module>", Error),
            ("    load()", Error),
            ("ValueError: bad row", Error),
            ("goes on", Info),
            ("2026-01-01 06:00:00,123 WARN [main] com.example.Load: slow", Warning),
            ("java.lang.RuntimeException: slow", Info),
            ("ERROR gone", Error),
            ("\tat com.example.Load.run(Load.java:7)", Error),
            ("Caused by: java.io.IOException: gone", Error),
            ("", Info),
            ("  indented", Info),
        ];
        let mut reader = LevelReader::default();
        for (line, expected) in lines {
            assert_eq!(reader.next(line), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_is_less_than_info_and_none_breaks_it(
            lines in prop::collection::vec(r#"(\PC|[\[\]\{\}"=: \x1b\-]|ERROR|level|"level"){0,40}"#, 1..5),
        ) {
            let mut reader = LevelReader::default();
            for line in lines {
                prop_assert!(reader.next(&line) >= Level::Info);
            }
        }

        #[test]
        fn what_stands_beyond_the_head_changes_nothing(head in "[a-z0-9:,\\- ]{160}", rest in "\\PC{0,100}") {
            let long = format!("{head}{rest}");
            prop_assert_eq!(level_named(&long), level_named(&head));
        }
    }
}
