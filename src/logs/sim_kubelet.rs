//! A kubelet of one Pod with one container: serves files as the real one does, and breaks as told.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use tokio::sync::watch;

use super::{
    container::{ContainerNow, RunState},
    source::{LogApi, LogRequest, LogRun},
    stream_quota::StreamPermit,
};
use crate::{cluster::Failure, model::log_position::LogSource};

/// How one answer goes wrong.
#[derive(Debug, Clone)]
pub enum Fault {
    /// The connection breaks after so many bytes.
    Break(usize),
    /// The body ends after so many bytes as if it were whole, as when the kubelet is killed; it is down then.
    End(usize),
    /// The kubelet freezes after so many bytes.
    Freeze(usize),
    Refuse(u16, &'static str),
    /// The kubelet's words instead of a log.
    Words(&'static str),
}

#[derive(Debug, Clone, Default)]
pub struct SimRun {
    /// Times in milliseconds and texts, in file order.
    pub lines: Vec<(u64, Vec<u8>)>,
    /// Of the end of the file, without a newline.
    pub tail: Vec<u8>,
    pub ended: bool,
}

/// Whether the container is started again after its last run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restarts {
    Never,
    /// It could be, but is not any more.
    Possible,
    /// It will be.
    Soon,
}

#[derive(Debug, Clone)]
pub struct SimPod {
    /// The runs of the container; the last one is served.
    pub runs: Vec<SimRun>,
    /// The run of which the API tells; the kubelet may be ahead.
    pub told: usize,
    pub restarts: Restarts,
    pub gone: bool,
    pub look_refused: bool,
    pub faults: VecDeque<Fault>,
}

/// The handle of a test and of the follower.
#[derive(Clone)]
pub struct SimKubelet(Arc<Sim>);

struct Sim {
    pod: Mutex<SimPod>,
    changed: watch::Sender<()>,
    opened: AtomicU64,
    looked: AtomicU64,
}

impl SimKubelet {
    pub fn new(restarts: Restarts, runs: Vec<SimRun>) -> Self {
        let told = runs.len() - 1;
        let pod = SimPod { runs, told, restarts, gone: false, look_refused: false, faults: VecDeque::new() };
        Self(Arc::new(Sim {
            pod: Mutex::new(pod),
            changed: watch::channel(()).0,
            opened: AtomicU64::default(),
            looked: AtomicU64::default(),
        }))
    }

    pub fn change(&self, change: impl FnOnce(&mut SimPod)) {
        change(&mut self.0.pod.lock().unwrap());
        self.0.changed.send_replace(());
    }

    /// How often a log was opened.
    pub fn opened(&self) -> u64 {
        self.0.opened.load(Ordering::Relaxed)
    }

    /// How often it was looked at the Pod.
    pub fn states_asked(&self) -> u64 {
        self.0.looked.load(Ordering::Relaxed)
    }

    fn stream(&self, run: usize, request: &LogRequest, fault: Option<Fault>) -> BoxStream<'static, io::Result<Bytes>> {
        let (sim, since) = (Arc::clone(&self.0), request.since.clone());
        let follow = request.which == LogRun::Follow;
        let mut changed = sim.changed.subscribe();
        let limit = match fault {
            Some(Fault::Break(at) | Fault::End(at) | Fault::Freeze(at)) => at,
            _ => usize::MAX,
        };
        async_stream::stream! {
            let mut sent = 0;
            loop {
                let (bytes, ended) = {
                    let pod = sim.pod.lock().unwrap();
                    (served(&pod.runs[run], since.as_deref()), pod.runs[run].ended || pod.gone)
                };
                if bytes.len() < sent {
                    yield Err(io::Error::from(io::ErrorKind::ConnectionReset));
                    return;
                }
                let until = bytes.len().min(limit);
                for chunk in bytes[sent..until].chunks(5_000) {
                    yield Ok(Bytes::copy_from_slice(chunk));
                }
                sent = until;
                if until == limit {
                    match fault {
                        Some(Fault::Break(_)) => yield Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                        Some(Fault::Freeze(_)) => futures::future::pending::<()>().await,
                        _ => {}
                    }
                    return;
                }
                if ended || !follow {
                    return;
                }
                changed.changed().await.unwrap();
            }
        }
        .boxed()
    }
}

impl LogApi for SimKubelet {
    type Stream = BoxStream<'static, io::Result<Bytes>>;

    async fn turn(&self, which: LogRun) -> StreamPermit {
        StreamPermit::at_once(which)
    }

    async fn open(&self, _: &LogSource, request: &LogRequest) -> Result<Self::Stream, Failure> {
        assert!(self.0.opened.fetch_add(1, Ordering::Relaxed) < 10_000, "a busy loop");
        let pod = {
            let mut pod = self.0.pod.lock().unwrap();
            let fault = pod.faults.pop_front();
            if pod.gone {
                return Err(Failure::status(404, "NotFound", "pods \"train-abc\" not found", None));
            }
            (pod.runs.len(), fault)
        };
        let (runs, fault) = pod;
        match fault {
            Some(Fault::Refuse(code, text)) => return Err(Failure::status(code, "", text, None)),
            Some(Fault::Words(text)) => return Ok(futures::stream::iter([Ok(Bytes::from(text))]).boxed()),
            _ => {}
        }
        let run = match request.which {
            LogRun::Follow | LogRun::Current => runs - 1,
            LogRun::Previous if runs > 1 => runs - 2,
            LogRun::Previous => {
                return Err(Failure::status(400, "BadRequest", "previous terminated container not found", None));
            }
        };
        Ok(self.stream(run, request, fault))
    }

    async fn container_state(&self, _: &LogSource) -> Result<ContainerNow, Failure> {
        self.0.looked.fetch_add(1, Ordering::Relaxed);
        let pod = self.0.pod.lock().unwrap();
        if pod.gone {
            return Ok(ContainerNow::PodGone);
        }
        if pod.look_refused {
            return Err(Failure::status(403, "Forbidden", "pods is forbidden", None));
        }
        let last = pod.told + 1 == pod.runs.len();
        let ended = pod.runs[pod.told].ended && last;
        let state = match (ended, pod.restarts) {
            (true, Restarts::Soon) => RunState::Restarting,
            (true, _) => RunState::Ended { finished: None },
            (false, Restarts::Never) => RunState::Open,
            (false, _) => RunState::Restartable,
        };
        Ok(ContainerNow::Run { restart_count: i32::try_from(pod.told).unwrap(), state })
    }

    fn next_seed(&self) -> u64 {
        7
    }
}

/// What a request with this `sinceTime` gets: lines filtered one by one, in file order.
pub fn served(run: &SimRun, since: Option<&str>) -> Vec<u8> {
    let since = since.unwrap_or_default().trim_end_matches('Z');
    let mut bytes = Vec::new();
    let tail = (!run.tail.is_empty() && run.ended).then_some((u64::MAX, &run.tail));
    for (millis, text) in run.lines.iter().map(|(millis, text)| (*millis, text)).chain(tail) {
        let millis = if millis == u64::MAX { run.lines.last().map_or(0, |line| line.0) } else { millis };
        let stamp =
            format!("2026-01-01T00:{:02}:{:02}.{:03}000000Z", millis / 60_000, millis / 1000 % 60, millis % 1000);
        if stamp.as_str() >= since {
            bytes.extend(format!("{stamp} ").bytes());
            bytes.extend(text);
            bytes.push(b'\n');
        }
    }
    if tail.is_some() {
        bytes.pop();
    }
    bytes
}

pub fn run(numbers: std::ops::Range<u64>, millis: u64) -> SimRun {
    let lines = numbers.map(|n| (n * millis, format!("line {n}").into_bytes())).collect();
    SimRun { lines, ended: true, ..SimRun::default() }
}
