//! Reads the results that sidecars have printed on their logs, once their Pods have ended.
//!
//! Promise: a log that cannot be read, or whose frame is not whole yet, is read again for [`WITHIN`]; after that the report
//! says what was seen last, and no further log is read. At most [`AT_ONCE`] logs are read at a time.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use crate::{
    cluster::Cluster,
    error::Report,
    job_api::last_lines::whole_log,
    model::{
        job_result::{PRINTED_BY_A_JOB, PodResult, RESULT_FILE, RESULT_SIDECAR, WRITE_AN_ADDRESS, pods_with_result},
        log_position::LogSource,
        observed_job::JobReference,
        result_frame::{FramedResult, framed_result},
        snapshot::JobSnapshot,
    },
};

/// How long the log of one Pod is asked for.
const WITHIN: Duration = Duration::from_secs(30);
/// The pause before it is asked for again.
const PAUSE: Duration = Duration::from_secs(1);
const AT_ONCE: usize = 4;
/// Bytes of a log beside the result in it: its frame, and what a shell may have said.
const FRAME: usize = 4096;

/// What each Pod that has a result has printed, by its uid; or why one of them has none.
pub(super) async fn printed_results(
    cluster: &Cluster,
    snapshot: &JobSnapshot,
) -> Result<BTreeMap<String, Option<String>>, Report> {
    let job = &snapshot.job.reference;
    let sources: Vec<_> = pods_with_result(snapshot).filter_map(|pod| source(job, pod)).collect();
    let reads = sources.into_iter().map(|source| async move {
        let read = printed(cluster, job, &source).await?;
        Ok((source.pod_uid, read))
    });
    futures::stream::iter(reads).buffer_unordered(AT_ONCE).try_collect().await
}

fn source(job: &JobReference, pod: &Pod) -> Option<LogSource> {
    Some(LogSource {
        namespace: job.namespace.clone(),
        // An API server stores no other names.
        pod: pod.metadata.name.as_deref()?.parse().ok()?,
        pod_uid: pod.metadata.uid.clone()?,
        container: RESULT_SIDECAR.parse().ok()?,
        index: None,
        alone: false,
    })
}

async fn printed(cluster: &Cluster, job: &JobReference, source: &LogSource) -> PodResult {
    let deadline = Instant::now() + WITHIN;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let found = whole_log(cluster, source, PRINTED_BY_A_JOB + FRAME, left).await;
        let found = found.map(|log| framed_result(&log, PRINTED_BY_A_JOB));
        let again = matches!(found, Err(_) | Ok(FramedResult::Incomplete));
        if !again || Instant::now() + PAUSE >= deadline {
            return usable(job, source, found);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What was found in a log as a result, or why it is none.
fn usable(job: &JobReference, source: &LogSource, found: Result<FramedResult, String>) -> PodResult {
    let pod = &source.pod;
    let lost = |why: &str| {
        Report::new(format!("The result of {job} is lost: the log of its sidecar cannot be read"))
            .seen(format!("container `{RESULT_SIDECAR}` of Pod `{pod}`: {why}"))
            .hint("a retry runs the Job anew; the sidecar needs some seconds of termination_grace_period to print the file")
    };
    let report = match found {
        Ok(FramedResult::Whole(bytes)) => match String::from_utf8(bytes) {
            Ok(text) => return Ok(Some(text).filter(|text| !text.trim().is_empty())),
            Err(error) => Report::new(format!("The result of {job} is no text: {error}"))
                .seen(format!("{RESULT_FILE} of Pod `{pod}` is not UTF-8"))
                .hint("write JSON in UTF-8"),
        },
        Ok(FramedResult::TooLarge(size)) => {
            Report::new(format!("The result of {job} is too large: it may have at most {PRINTED_BY_A_JOB} bytes"))
                .seen(format!("{RESULT_FILE} of Pod `{pod}` has {size} bytes"))
                .hint(WRITE_AN_ADDRESS)
        }
        Ok(FramedResult::Unreadable) => {
            Report::new(format!("The result of {job} cannot be read: its sidecar has no right to read the file"))
                .seen(format!("container `{RESULT_SIDECAR}` of Pod `{pod}` cannot read {RESULT_FILE}"))
                .hint("let others read the file (chmod a+r)")
        }
        Ok(FramedResult::Incomplete) => lost("its log has no whole result"),
        Err(why) => lost(&why),
    };
    Err(report)
}
