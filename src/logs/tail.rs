//! Looks for words in the last lines of a log that has ended. What the lines say is told to nobody.

use std::time::Duration;

use bytes::BytesMut;
use http_body_util::BodyExt;
use tokio::time::Instant;

use crate::{cluster::Cluster, model::log_position::LogSource, resource::Path};

/// So many lines, and so many bytes of them.
const LINES: &str = "20";
const BYTES: usize = 16 << 10;

/// Whether one of these words stands there; false, too, where the log cannot be read in time. One request, not repeated.
pub(crate) async fn last_lines_have(cluster: &Cluster, source: &LogSource, words: &[&str], within: Duration) -> bool {
    let path = Path::log(&source.namespace, &source.pod, &source.container);
    let path = path.with("tailLines", LINES).with("limitBytes", &BYTES.to_string());
    let read = async {
        let mut text = BytesMut::new();
        let Ok(response) = cluster.until(Instant::now() + within).open(&path).await else { return text };
        let mut body = response.into_body().into_data_stream();
        while let Some(Ok(chunk)) = futures::StreamExt::next(&mut body).await {
            text.extend_from_slice(&chunk);
            if text.len() >= BYTES {
                break;
            }
        }
        text
    };
    let text = tokio::time::timeout(within, read).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&text).to_lowercase();
    words.iter().any(|word| text.contains(word))
}
