//! Reads a bearer token that rotates in a file, as service account tokens do.
//!
//! The file is read at most once a minute, as in client-go (`transport/token_source.go`), and the token is trimmed,
//! because a final newline would make the header invalid. If a read fails, the last token stays; before the first read,
//! that is the token of the kubeconfig.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use http::{HeaderValue, Request, header::AUTHORIZATION};
use tokio::time::{Duration, Instant};

use super::{bounded_file, kubeconfig::io_problem};

const REREAD_AFTER: Duration = Duration::from_secs(60);

/// Adds `Authorization: Bearer` with the token of a file to requests.
#[derive(Clone)]
pub(super) struct TokenFile {
    path: PathBuf,
    /// When the file was last read, and the header that counts.
    last: Arc<Mutex<(Option<Instant>, HeaderValue)>>,
}

/// Why a file gives no token. Its content is never shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum TokenFileError {
    /// The error in the words of the operating system.
    Io(String),
    Empty,
    ControlCharacter,
}

impl TokenFile {
    /// Reads the file. If that fails, the token beside it in the kubeconfig counts until a read succeeds.
    pub fn new(path: PathBuf, beside: Option<HeaderValue>) -> Result<Self, TokenFileError> {
        let (at, value) = match (read(&path), beside) {
            (Ok(value), _) => (Some(Instant::now()), value),
            (Err(_), Some(beside)) => (None, beside),
            (Err(unread), None) => return Err(unread),
        };
        Ok(Self { path, last: Arc::new(Mutex::new((at, value))) })
    }

    /// Adds the token to a request.
    pub fn authorize<B>(&self, mut request: Request<B>) -> Request<B> {
        request.headers_mut().insert(AUTHORIZATION, self.current());
        request
    }

    fn current(&self) -> HeaderValue {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let fresh = last.0.is_some_and(|at| at.elapsed() < REREAD_AFTER);
        if !fresh && let Ok(value) = read(&self.path) {
            *last = (Some(Instant::now()), value);
        }
        last.1.clone()
    }
}

fn read(path: &Path) -> Result<HeaderValue, TokenFileError> {
    let text = bounded_file::read_text(path).map_err(|error| TokenFileError::Io(io_problem(&error)))?;
    let token = text.trim();
    if token.is_empty() {
        return Err(TokenFileError::Empty);
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| TokenFileError::ControlCharacter)?;
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rotated_token_is_picked_up_and_a_newline_is_trimmed() {
        let dir = std::env::temp_dir().join(format!("ukj-token-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("token");
        std::fs::write(&path, "one\n").unwrap();
        let file = TokenFile::new(path.clone(), None).unwrap();
        let header =
            |file: &TokenFile| file.authorize(Request::new(())).headers()[AUTHORIZATION].to_str().unwrap().to_owned();
        assert_eq!(header(&file), "Bearer one");
        std::fs::write(&path, "two\n").unwrap();
        assert_eq!(header(&file), "Bearer one");
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(header(&file), "Bearer two");
        std::fs::remove_dir_all(&dir).unwrap();
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(header(&file), "Bearer two");
    }

    #[tokio::test(start_paused = true)]
    async fn token_beside_a_file_counts_until_there_is_one() {
        let path = std::env::temp_dir().join(format!("ukj-token-beside-{}", std::process::id()));
        let header =
            |file: &TokenFile| file.authorize(Request::new(())).headers()[AUTHORIZATION].to_str().unwrap().to_owned();
        let file = TokenFile::new(path.clone(), Some(HeaderValue::from_static("Bearer beside"))).unwrap();
        assert_eq!(header(&file), "Bearer beside");
        std::fs::write(&path, "one").unwrap();
        assert_eq!(header(&file), "Bearer one");
        std::fs::write(&path, " \n").unwrap();
        assert_eq!(TokenFile::new(path.clone(), None).err(), Some(TokenFileError::Empty));
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(TokenFile::new(path, None).err(), Some(TokenFileError::Io(_))));
    }
}
