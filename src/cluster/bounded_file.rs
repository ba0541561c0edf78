//! Reads a whole file that a configuration names, in bounded memory: the name may lead to a device that never ends.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// The largest file that is read, in bytes. A kubeconfig or a bundle of certificates has some hundred KiB at most.
const LARGEST: u64 = 8 << 20;

/// Reads the bytes of a file; [`io::ErrorKind::FileTooLarge`] if there are more than 8 MiB.
pub(super) fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes) }
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
}
