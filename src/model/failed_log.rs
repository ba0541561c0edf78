//! What the end of a failed container's log tells. Pure.

use crate::text::shortened;

/// Words that programs print if a file system is read-only, in lower case: those of the C library, and of Node.js.
const READ_ONLY: [&str; 2] = ["read-only file system", "erofs"];

/// What the log of a failed Pod ends with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FailedLog {
    /// Its last line, cut; none if it is empty.
    pub last_line: Option<String>,
    /// Whether its last lines name a read-only file system.
    pub read_only: bool,
}

impl FailedLog {
    /// Reads the last lines of a log.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let said = text.to_lowercase();
        Self {
            last_line: text.lines().rev().find(|line| !line.trim().is_empty()).map(shortened),
            read_only: READ_ONLY.iter().any(|words| said.contains(words)),
        }
    }

    /// What a person can do about it, if the log itself shows it.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        self.read_only.then_some(
            "let the program write into a volume, such as an emptyDir, or set readOnlyRootFilesystem to false",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_line_that_is_not_empty_counts_and_all_lines_are_searched() {
        let log = FailedLog::read("EROFS: read-only\nlast\u{7}\n\n");
        assert_eq!(log, FailedLog { last_line: Some("last\\x07".into()), read_only: true });
        assert!(log.advice().unwrap().contains("emptyDir"));
        assert_eq!(FailedLog::read("\n"), FailedLog::default());
        assert_eq!(FailedLog::default().advice(), None);
    }
}
