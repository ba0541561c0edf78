//! What reading logs needs of a cluster, and how [`Cluster`] gives it.

use std::io;

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream::BoxStream};
use http_body_util::BodyExt;
use k8s_openapi::api::core::v1::Pod;

use super::{container::ContainerNow, stream_quota::StreamPermit};
use crate::{
    cluster::{Cause, Cluster, Failure},
    model::log_position::LogSource,
    resource::{Object, Path},
};

/// Which log of a container is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogRun {
    /// That of the current run, or the last one, and on as it grows.
    Follow,
    /// The same, as far as it is written.
    Current,
    /// That of the run before.
    Previous,
}

/// A log, from a whole second on (`2026-01-01T00:00:00Z`) or from its beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRequest {
    /// Which one.
    pub which: LogRun,
    /// Lines older than this are left out, one by one.
    pub since: Option<String>,
}

/// A cluster, as a reader of logs sees it.
pub trait LogApi: Send + Sync + 'static {
    /// The bytes of a log: lines with their timestamps.
    type Stream: Stream<Item = io::Result<Bytes>> + Send;

    /// Waits until a log may be read, for as long as that is kept.
    fn turn(&self, which: LogRun) -> impl Future<Output = StreamPermit> + Send;

    /// Opens a log. Not repeated; may take as long as the container is silent.
    fn open(
        &self,
        source: &LogSource,
        request: &LogRequest,
    ) -> impl Future<Output = Result<Self::Stream, Failure>> + Send;

    /// What the container is doing now.
    fn container_state(&self, source: &LogSource) -> impl Future<Output = Result<ContainerNow, Failure>> + Send;

    /// The next seed for jitter.
    fn next_seed(&self) -> u64;
}

impl LogApi for Cluster {
    type Stream = BoxStream<'static, io::Result<Bytes>>;

    async fn turn(&self, which: LogRun) -> StreamPermit {
        StreamPermit::at_once(which)
    }

    async fn open(&self, source: &LogSource, request: &LogRequest) -> Result<Self::Stream, Failure> {
        let response = Self::open(self, &path(source, request)).await?;
        let chunks = response.into_body().into_data_stream();
        Ok(chunks.map_err(|error| io::Error::other(Cause::of(&error))).boxed())
    }

    async fn container_state(&self, source: &LogSource) -> Result<ContainerNow, Failure> {
        let Some(object) = self.get(Object::Pod(&source.namespace, &source.pod)).await? else {
            return Ok(ContainerNow::PodGone);
        };
        let Ok(pod) = serde_json::from_value::<Pod>(object) else { return Ok(ContainerNow::Unknown) };
        if pod.metadata.uid.as_deref() != Some(source.pod_uid.as_str()) {
            return Ok(ContainerNow::PodGone);
        }
        Ok(ContainerNow::of(&pod, source.container.as_str()))
    }

    fn next_seed(&self) -> u64 {
        Self::next_seed(self)
    }
}

fn path(source: &LogSource, request: &LogRequest) -> Path {
    let path = Path::log(&source.namespace, &source.pod, &source.container).with("timestamps", "true");
    let path = match request.which {
        LogRun::Follow => path.with("follow", "true"),
        LogRun::Current => path,
        LogRun::Previous => path.with("previous", "true"),
    };
    match &request.since {
        Some(since) => path.with("sinceTime", since),
        None => path,
    }
}
