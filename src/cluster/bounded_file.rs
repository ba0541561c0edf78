//! Reads a file that a configuration names, whole, in bounded memory and in bounded time: such a name may lead to a device
//! that never ends, or to a pipe that nobody writes into.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::mpsc,
    time::Duration,
};

/// The largest file that is read, in bytes. A kubeconfig or a bundle of certificates has some hundred KiB at most.
const LARGEST: u64 = 8 << 20;
/// How long what is no regular file may take, such as the pipe of `--kubeconfig <(command)`.
const WITHIN: Duration = Duration::from_secs(20);

/// Its bytes; [`io::ErrorKind::FileTooLarge`] where there are more than 8 MiB, [`io::ErrorKind::TimedOut`] where they do not
/// come.
pub(super) fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let path = path.as_ref();
    if path.metadata()?.is_file() { whole(path) } else { in_time(path, WITHIN) }
}

fn whole(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
}

/// The thread of a pipe without a writer is left behind: nothing wakes it.
fn in_time(path: &Path, within: Duration) -> io::Result<Vec<u8>> {
    let ((said, heard), path) = (mpsc::channel(), path.to_owned());
    std::thread::Builder::new().name("read-pipe".to_owned()).spawn(move || said.send(whole(&path)))?;
    heard.recv_timeout(within).unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// Reads the text of a file; [`io::ErrorKind::InvalidData`] if it is not UTF-8.
pub(super) fn read_text(path: impl AsRef<Path>) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|_| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_that_never_ends_is_too_large() {
        assert_eq!(read("/dev/zero").unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_text("/dev/null").unwrap(), "");
    }

    #[test]
    fn pipe_is_read_where_somebody_writes_and_given_up_where_nobody_does() {
        let folder = std::env::temp_dir().join(format!("ukj-pipes-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let [silent, written] = ["silent", "written"].map(|name| folder.join(name));
        let made = std::process::Command::new("mkfifo").args([&silent, &written]).status().unwrap();
        assert!(made.success());
        assert_eq!(in_time(&silent, Duration::from_millis(50)).unwrap_err().kind(), io::ErrorKind::TimedOut);
        let into = written.clone();
        std::thread::spawn(move || std::fs::write(into, "text").unwrap());
        assert_eq!(read_text(&written).unwrap(), "text");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
