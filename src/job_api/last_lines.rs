//! Reads the last lines of one log, or a small log as a whole, in one request that is not repeated.

use std::time::Duration;

use bytes::BytesMut;
use http_body_util::BodyExt;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{cluster::Cluster, model::log_position::LogSource, resource::Path, text::shortened};

/// So many bytes of a log are read at most.
const BYTES: usize = 16 << 10;

/// Which lines.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LastLines {
    /// So many.
    pub lines: usize,
    /// Whether of the run before the present one.
    pub previous: bool,
    /// Whether each begins with its time.
    pub timestamps: bool,
}

/// The last lines of the log, or why they cannot be read.
pub(crate) async fn last_lines(
    cluster: &Cluster,
    source: &LogSource,
    which: LastLines,
    within: Duration,
) -> Result<String, String> {
    let path = Path::log(&source.namespace, &source.pod, &source.container);
    let mut path = path.with("tailLines", &which.lines.to_string()).with("limitBytes", &BYTES.to_string());
    if which.previous {
        path = path.with("previous", "true");
    }
    if which.timestamps {
        path = path.with("timestamps", "true");
    }
    let text = bytes_of(cluster, &path, BYTES, within).await?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The log of a container that has ended, at most so many bytes of it, as they were written; or why it cannot be read.
pub(crate) async fn whole_log(
    cluster: &Cluster,
    source: &LogSource,
    bytes: usize,
    within: Duration,
) -> Result<BytesMut, String> {
    let path = Path::log(&source.namespace, &source.pod, &source.container).with("limitBytes", &bytes.to_string());
    bytes_of(cluster, &path, bytes, within).await
}

async fn bytes_of(cluster: &Cluster, path: &Path, most: usize, within: Duration) -> Result<BytesMut, String> {
    let mut text = BytesMut::new();
    let read = async {
        let opened = cluster.until(Instant::now() + within).open(path).await;
        let mut body = opened.map_err(|failure| failure.message())?.into_body().into_data_stream();
        while let Some(Ok(chunk)) = futures::StreamExt::next(&mut body).await {
            text.extend_from_slice(&chunk);
            if text.len() >= most {
                break;
            }
        }
        Ok(())
    };
    let late = || Err(format!("no answer within {} s", within.as_secs()));
    tokio::time::timeout(within, read).await.unwrap_or_else(|_| late())?;
    Ok(text)
}

/// The last line, with its time; an empty one without a time where the container has written nothing, and none where the
/// log cannot be read in time.
pub(crate) async fn last_line(
    cluster: &Cluster,
    source: &LogSource,
    within: Duration,
) -> Option<(Option<Timestamp>, String)> {
    let which = LastLines { lines: 1, previous: false, timestamps: true };
    let text = last_lines(cluster, source, which, within).await.ok()?;
    let line = text.trim_end().lines().last().unwrap_or_default();
    let (time, line) = stamped(line);
    Some((time, shortened(line)))
}

/// The time before a line, and the line.
pub(crate) fn stamped(line: &str) -> (Option<Timestamp>, &str) {
    let (stamp, rest) = line.split_once(' ').unwrap_or((line, ""));
    stamp.parse().map_or((None, line), |time| (Some(time), rest))
}
