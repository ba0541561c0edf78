//! The frame in which a sidecar prints the result of its Pod on its own log: what it runs, and how its log is read. Pure.
//!
//! Promise: a result is read as it was written, byte for byte, or it is known that it was not: the frame says how many
//! bytes there are, and where they end.

/// The folder that the base container and the sidecar share.
pub const RESULT_FOLDER: &str = "/airflow/xcom";
const BEGIN: &[u8] = b"unique-k8s-job result begins: ";
const END: &[u8] = b"\nunique-k8s-job result ends\n";

/// What the sidecar runs in a POSIX shell: it waits, and prints the file once it has to end. The kubelet ends a native
/// sidecar when all other containers have ended.
pub const PRINT_AT_THE_END: &str = r#"print() {
  size=0
  if [ -e /airflow/xcom/return.json ]; then size=$(wc -c < /airflow/xcom/return.json) || size=unreadable; fi
  echo "unique-k8s-job result begins: "$size
  if [ "$size" != unreadable ]; then cat /airflow/xcom/return.json 2>/dev/null; fi
  echo; echo "unique-k8s-job result ends"
  exit 0
}
trap print TERM
while true; do sleep 3600 & wait $!; done"#;

/// The result that stands in the log of a sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FramedResult {
    /// So it was written; empty if nothing was.
    Whole(Vec<u8>),
    /// The sidecar could not read the file.
    Unreadable,
    /// So many bytes were written, more than the log was read for.
    TooLarge(usize),
    /// The frame has no end yet, or never will: the log is cut, or the sidecar was killed.
    Incomplete,
}

/// Reads the result in the log of a sidecar, of which it takes at most so many bytes.
#[must_use]
pub fn framed_result(log: &[u8], limit: usize) -> FramedResult {
    // What stands before is of the shell, such as a warning.
    let Some(begin) = find(log, BEGIN) else { return FramedResult::Incomplete };
    let rest = &log[begin + BEGIN.len()..];
    let Some(line) = rest.iter().position(|byte| *byte == b'\n') else { return FramedResult::Incomplete };
    let size = String::from_utf8_lossy(&rest[..line]);
    if size.trim() == "unreadable" {
        return FramedResult::Unreadable;
    }
    let Ok(size) = size.trim().parse::<usize>() else { return FramedResult::Incomplete };
    if size > limit {
        return FramedResult::TooLarge(size);
    }
    let rest = &rest[line + 1..];
    match rest.get(size..) {
        Some(end) if end.starts_with(END) => FramedResult::Whole(rest[..size].to_vec()),
        _ => FramedResult::Incomplete,
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Command};

    use proptest::prelude::*;

    use super::*;

    fn log(size: &str, result: &[u8]) -> Vec<u8> {
        [BEGIN, size.as_bytes(), b"\n", result, END].concat()
    }

    #[test]
    fn frame_that_is_not_whole_has_no_result() {
        let whole = log("3", b"[1]");
        for cut in 0..whole.len() {
            assert_eq!(framed_result(&whole[..cut], 10), FramedResult::Incomplete, "after {cut} bytes");
        }
        assert_eq!(framed_result(&whole, 10), FramedResult::Whole(b"[1]".to_vec()));
        assert_eq!(framed_result(&whole, 2), FramedResult::TooLarge(3));
        assert_eq!(framed_result(&log("4", b"[1]"), 10), FramedResult::Incomplete);
        assert_eq!(framed_result(&log("unreadable", b""), 10), FramedResult::Unreadable);
        assert_eq!(framed_result(&log("0", b""), 10), FramedResult::Whole(Vec::new()));
    }

    #[test]
    fn shell_prints_the_frame_that_is_read_here() {
        let folder = std::env::temp_dir().join(format!("result-frame-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("return.json");
        let script = PRINT_AT_THE_END.replace(RESULT_FOLDER, folder.to_str().unwrap());
        let print = || {
            let at_once = script.replace("trap print TERM", "print");
            Command::new("sh").args(["-c", &at_once]).output().unwrap().stdout
        };
        assert_eq!(framed_result(&print(), 100), FramedResult::Whole(Vec::new()), "no file");
        for written in ["", "[1]", "{\"a\":\n 1}\n", "\"\u{e4}\""] {
            fs::write(&file, written).unwrap();
            assert_eq!(framed_result(&print(), 100), FramedResult::Whole(written.as_bytes().to_vec()));
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    proptest! {
        #[test]
        fn any_bytes_come_back(result in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let log = log(&result.len().to_string(), &result);
            prop_assert_eq!(framed_result(&log, 2000), FramedResult::Whole(result));
        }
    }
}
