//! The shares, in paused time: followers of logs as they are, before kubelets that answer slowly.

use std::io;

use bytes::Bytes;
use futures::{StreamExt, future::join_all, stream::BoxStream};
use tokio::{sync::watch, task::JoinHandle};

use super::*;
use crate::logs::{
    BUFFER,
    channel::channel,
    container_log::{LogStart, LogTiming, follow},
    sim_kubelet::{Restarts, SimKubelet, SimRun, run},
};

/// Streams that are open, and the most that ever were.
#[derive(Default)]
struct Counts {
    open: [usize; 2],
    most: [usize; 2],
}

const FOLLOW: usize = 0;
const CURRENT: usize = 1;

/// The logs of a kubelet that takes its time.
struct Slow {
    kubelet: SimKubelet,
    counts: Arc<Mutex<Counts>>,
    /// Before its answer.
    answer: Duration,
    /// Before each line.
    line: Duration,
}

struct Opened(usize, Arc<Mutex<Counts>>);

impl Drop for Opened {
    fn drop(&mut self) {
        self.1.lock().unwrap().open[self.0] -= 1;
    }
}

impl LogApi for Slow {
    type Stream = BoxStream<'static, io::Result<Bytes>>;

    async fn turn(&self, which: LogRun) -> StreamPermit {
        StreamPermit::at_once(which)
    }

    async fn open(&self, source: &LogSource, request: &LogRequest) -> Result<Self::Stream, Failure> {
        let kind = if request.which == LogRun::Follow { FOLLOW } else { CURRENT };
        let opened = {
            let mut counts = self.counts.lock().unwrap();
            counts.open[kind] += 1;
            counts.most[kind] = counts.most[kind].max(counts.open[kind]);
            Opened(kind, Arc::clone(&self.counts))
        };
        tokio::time::sleep(self.answer).await;
        let (stream, pause) = (self.kubelet.open(source, request).await?, self.line);
        let lines = stream.flat_map(move |chunk| {
            let lines: Vec<_> =
                chunk.unwrap().split_inclusive(|byte| *byte == b'\n').map(Bytes::copy_from_slice).collect();
            futures::stream::iter(lines).then(move |line| async move {
                tokio::time::sleep(pause).await;
                io::Result::Ok(line)
            })
        });
        Ok(lines.map(move |line| (line, &opened).0).boxed())
    }

    async fn container_state(&self, source: &LogSource) -> Result<ContainerNow, Failure> {
        self.kubelet.container_state(source).await
    }

    fn next_seed(&self) -> u64 {
        self.kubelet.next_seed()
    }
}

/// What is read of one container.
struct Log {
    kubelet: SimKubelet,
    /// Lines and marks so far.
    lines: Arc<Mutex<Vec<String>>>,
    reading: JoinHandle<()>,
}

impl Log {
    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    async fn whole(self) -> Vec<String> {
        tokio::time::timeout(Duration::from_secs(3_600), self.reading).await.expect("it comes to an end").unwrap();
        Arc::into_inner(self.lines).unwrap().into_inner().unwrap()
    }
}

#[derive(Default)]
struct World {
    quota: Arc<LogQuota>,
    counts: Arc<Mutex<Counts>>,
    answer: Duration,
    line: Duration,
}

impl World {
    fn read(&self, kubelet: &SimKubelet) -> Log {
        let source = LogSource {
            namespace: "etl".parse().unwrap(),
            pod: "train-abc".parse().unwrap(),
            pod_uid: "1".into(),
            container: "base".parse().unwrap(),
            index: None,
            alone: true,
        };
        let counts = Arc::clone(&self.counts);
        let api = Slow { kubelet: kubelet.clone(), counts, answer: self.answer, line: self.line };
        let (sink, mut receiver) = channel(BUFFER, crate::model::policies::LogFormat::default());
        let told = watch::channel(ContainerNow::Unknown).1;
        let start = LogStart { source, restart_count: 0, position: None, told };
        let following = follow(self.quota.of(api), start, sink, Arc::default(), LogTiming::default());
        let lines = Arc::<Mutex<Vec<_>>>::default();
        let taken = Arc::clone(&lines);
        let reading = tokio::spawn(async move {
            let take = async {
                while let Some(record) = receiver.next().await {
                    taken.lock().unwrap().extend(record.text.lines().map(str::to_owned));
                }
                drop(taken);
            };
            tokio::join!(following, take);
        });
        Log { kubelet: kubelet.clone(), lines, reading }
    }

    /// All logs that may be followed are.
    async fn follow_others(&self) -> OwnedSemaphorePermit {
        Arc::clone(&self.quota.follows).acquire_many_owned(u32::try_from(FOLLOWED).unwrap()).await.unwrap()
    }
}

fn at_work(lines: u64) -> SimRun {
    SimRun { ended: false, ..run(0..lines, 1_000) }
}

fn texts(count: u64) -> Vec<String> {
    (0..count).map(|number| format!("line {number}")).collect()
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn logs_beyond_the_followed_ones_are_read_in_turns_and_whole_at_the_end() {
    let world = World { answer: Duration::from_millis(100), ..World::default() };
    let kubelets: Vec<_> = (0..FOLLOWED + 60).map(|_| SimKubelet::new(Restarts::Never, vec![at_work(0)])).collect();
    let logs: Vec<_> = kubelets.iter().map(|kubelet| world.read(kubelet)).collect();
    for second in 1..=60 {
        for log in &logs {
            log.kubelet.change(|pod| pod.runs[0] = at_work(second));
        }
        seconds(1).await;
        // A turn every 5 s, and four rounds of 16 that wait for their answers.
        let behind = logs.iter().map(|log| second - log.lines().len() as u64).max();
        assert!(behind <= Some(6), "{behind:?} s behind after {second} s");
    }
    let read: Vec<_> = kubelets.iter().map(SimKubelet::opened).collect();
    assert_eq!(read.iter().filter(|count| **count == 1).count(), FOLLOWED, "{read:?}");
    assert!(read.iter().all(|count| *count <= 13), "{read:?}");
    for log in &logs {
        log.kubelet.change(|pod| pod.runs[0].ended = true);
    }
    for lines in join_all(logs.into_iter().map(Log::whole)).await {
        assert_eq!(lines, texts(60));
    }
    assert_eq!(world.counts.lock().unwrap().most, [FOLLOWED, READ]);
}

#[tokio::test(start_paused = true)]
async fn log_that_was_read_in_turns_is_followed_as_soon_as_another_is_not() {
    let world = World::default();
    let others = world.follow_others().await;
    let kubelet = SimKubelet::new(Restarts::Never, vec![at_work(3)]);
    let log = world.read(&kubelet);
    seconds(31).await;
    assert_eq!((log.lines(), world.counts.lock().unwrap().most), (texts(3), [0, 1]));
    drop(others);
    tokio::time::sleep(Duration::from_millis(1)).await;
    kubelet.change(|pod| pod.runs[0] = at_work(9));
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!((log.lines(), world.counts.lock().unwrap().open), (texts(9), [1, 0]));
    kubelet.change(|pod| pod.runs[0].ended = true);
    assert_eq!(log.whole().await, texts(9));
}

#[tokio::test(start_paused = true)]
async fn logs_that_take_long_to_read_give_way_to_others_and_lose_nothing() {
    const LINES: u64 = 300;
    let world = World { line: Duration::from_millis(100), ..World::default() };
    let _others = world.follow_others().await;
    let long: Vec<_> =
        (0..READ).map(|_| world.read(&SimKubelet::new(Restarts::Never, vec![run(0..LINES, 100)]))).collect();
    seconds(1).await;
    let short = world.read(&SimKubelet::new(Restarts::Never, vec![at_work(1)]));
    seconds(10).await;
    assert_eq!(short.lines(), texts(1));
    for lines in join_all(long.into_iter().map(Log::whole)).await {
        assert_eq!(lines, texts(LINES));
    }
}

#[tokio::test(start_paused = true)]
async fn turn_is_waited_for_without_a_look_and_not_taken_for_silence() {
    let world = World::default();
    let _others = world.follow_others().await;
    let readers = Arc::clone(&world.quota.reads).acquire_many_owned(u32::try_from(READ).unwrap()).await;
    let kubelet = SimKubelet::new(Restarts::Never, vec![SimRun { ended: true, ..at_work(5) }]);
    let log = world.read(&kubelet);
    seconds(600).await;
    assert_eq!((kubelet.opened(), kubelet.states_asked()), (0, 0));
    drop(readers);
    assert_eq!(log.whole().await, texts(5));
}

#[tokio::test(start_paused = true)]
async fn log_that_is_read_in_turns_costs_two_requests_each() {
    for restarts in [Restarts::Never, Restarts::Possible] {
        let world = World::default();
        let _others = world.follow_others().await;
        let kubelet = SimKubelet::new(restarts, vec![at_work(5)]);
        let log = world.read(&kubelet);
        seconds(61).await;
        assert_eq!((kubelet.opened(), kubelet.states_asked()), (13, 13), "{restarts:?}");
        log.reading.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn container_that_is_restarted_while_it_is_read_in_turns_has_both_its_logs() {
    let world = World::default();
    let _others = world.follow_others().await;
    let (first, second) = (run(0..30, 100), run(100..130, 100));
    let kubelet = SimKubelet::new(Restarts::Possible, vec![SimRun { ended: false, ..run(0..20, 100) }]);
    let log = world.read(&kubelet);
    seconds(8).await;
    kubelet.change(|pod| pod.runs = vec![first, second]);
    seconds(1).await;
    kubelet.change(|pod| pod.told = 1);
    let lines = log.whole().await;
    let mut expected = texts(30);
    expected.push("--- container `base` of Pod `train-abc`: restart 1: its log follows ---".into());
    expected.extend((100..130).map(|number| format!("line {number}")));
    assert_eq!(lines, expected);
}

#[tokio::test(start_paused = true)]
async fn records_go_a_thousand_a_second_and_a_burst_at_once() {
    let quota = LogQuota::default();
    for _ in 0..2 {
        seconds(10).await;
        let idle_until = Instant::now();
        let burst = usize::try_from(BURST.as_millis()).unwrap();
        for _ in 0..=burst {
            quota.record().await;
        }
        assert_eq!(idle_until.elapsed(), Duration::ZERO);
        for _ in 0..3_000 {
            quota.record().await;
        }
        assert_eq!(idle_until.elapsed(), Duration::from_secs(3));
    }
}

#[tokio::test(start_paused = true)]
async fn records_of_all_jobs_go_in_turns() {
    let quota = Arc::new(LogQuota::default());
    let counts: Vec<_> = (0..4).map(|_| Arc::new(Mutex::new(0))).collect();
    for count in &counts {
        let (quota, count) = (Arc::clone(&quota), Arc::clone(count));
        tokio::spawn(async move {
            loop {
                quota.record().await;
                *count.lock().unwrap() += 1;
            }
        });
    }
    seconds(5).await;
    let counts: Vec<_> = counts.iter().map(|count| *count.lock().unwrap()).collect();
    assert!(counts.iter().all(|count| (1_249..=1_251).contains(count)), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn turn_that_is_given_up_costs_nobody_a_record() {
    let quota = LogQuota::default();
    for _ in 0..100 {
        quota.record().await;
    }
    let since = Instant::now();
    for _ in 0..100 {
        assert!(futures::poll!(Box::pin(quota.record())).is_pending());
    }
    quota.record().await;
    assert!(since.elapsed() <= Duration::from_millis(1), "{:?}", since.elapsed());
}
