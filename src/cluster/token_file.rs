//! A bearer token that lives in a file and rotates there, as service account tokens do.
//!
//! Read at most once a minute, as client-go does (`transport/token_source.go`), and trimmed: a final newline
//! would make the header invalid. A failed read keeps the last token.

use std::{path::PathBuf, sync::Arc, sync::Mutex};

use http::{HeaderValue, Request, header::AUTHORIZATION};
use tokio::time::{Duration, Instant};

const REREAD_AFTER: Duration = Duration::from_secs(60);

/// Adds `Authorization: Bearer` to requests from a file.
#[derive(Clone)]
pub(super) struct TokenFile {
    path: PathBuf,
    last: Arc<Mutex<Option<(Instant, HeaderValue)>>>,
}

impl TokenFile {
    pub fn new(path: PathBuf) -> Self {
        Self { path, last: Arc::default() }
    }

    /// The request with the token; unchanged where no token was ever readable (the answer is then 401).
    pub fn authorize<B>(&self, mut request: Request<B>) -> Request<B> {
        if let Some(value) = self.current() {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        request
    }

    fn current(&self) -> Option<HeaderValue> {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let fresh = last.as_ref().is_some_and(|(read, _)| read.elapsed() < REREAD_AFTER);
        if !fresh
            && let Ok(text) = std::fs::read_to_string(&self.path)
            && let Ok(mut value) = HeaderValue::from_str(&format!("Bearer {}", text.trim()))
        {
            value.set_sensitive(true);
            *last = Some((Instant::now(), value));
        }
        last.as_ref().map(|(_, value)| value.clone())
    }
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
        let file = TokenFile::new(path.clone());
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
}
