//! The follower against a kubelet that serves files as the real one does, in paused time.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;
use crate::logs::{
    BUFFER,
    channel::channel,
    record::Record,
    sim_kubelet::{Fault, Restarts, SimKubelet, SimRun, run, served},
};

fn texts(run: &SimRun) -> Vec<String> {
    run.lines.iter().map(|(_, text)| String::from_utf8_lossy(text).into_owned()).collect()
}

struct Followed {
    records: tokio::task::JoinHandle<Vec<Record>>,
    follower: tokio::task::JoinHandle<()>,
}

impl Followed {
    async fn records(self) -> Vec<Record> {
        let limit = Duration::from_secs(3_600);
        tokio::time::timeout(limit, self.follower).await.expect("it comes to an end").unwrap();
        self.records.await.unwrap()
    }

    /// All lines, and marks from the colon on.
    async fn lines(self) -> Vec<String> {
        let text = |record: Record| {
            if record.mark {
                vec![format!("MARK {}", record.text.split_once("`: ").unwrap().1.trim_end_matches(" ---"))]
            } else {
                record.text.split('\n').map(str::to_owned).collect()
            }
        };
        self.records().await.into_iter().flat_map(text).collect()
    }
}

/// Where nobody watches its Pod.
fn start(kubelet: &SimKubelet, run: i32, position: Option<Position>) -> Followed {
    start_told(kubelet, run, position, watch::channel(ContainerNow::Unknown).1)
}

fn start_told(
    kubelet: &SimKubelet,
    restart_count: i32,
    position: Option<Position>,
    told: watch::Receiver<ContainerNow>,
) -> Followed {
    let (sink, mut receiver) = channel(BUFFER, crate::model::policies::LogFormat::default());
    let source = LogSource {
        namespace: "etl".parse().unwrap(),
        pod: "train-abc".parse().unwrap(),
        pod_uid: "1".into(),
        container: "base".parse().unwrap(),
        index: None,
        alone: true,
    };
    let start = LogStart { source, restart_count, position, told };
    let follower = tokio::spawn(follow(kubelet.clone(), start, sink, Arc::default(), LogTiming::default()));
    let records = tokio::spawn(async move {
        let mut records = Vec::new();
        while let Some(record) = receiver.next().await {
            records.push(record);
        }
        records
    });
    Followed { records, follower }
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn undisturbed_log_costs_two_reads() {
    let whole = run(0..500, 37);
    let kubelet = SimKubelet::new(Restarts::Never, vec![whole.clone()]);
    assert_eq!(start(&kubelet, 0, None).lines().await, texts(&whole));
    assert_eq!(kubelet.opened(), 2);
}

fn ended(restart_count: i32) -> ContainerNow {
    ContainerNow::Run { restart_count, state: RunState::Ended { finished: None } }
}

#[tokio::test(start_paused = true)]
async fn end_that_the_watch_of_the_pod_tells_is_not_asked_for() {
    let whole = run(0..500, 37);
    for told_after in [0, 1, 4] {
        let kubelet = SimKubelet::new(Restarts::Never, vec![whole.clone()]);
        let open = ContainerNow::Run { restart_count: 0, state: RunState::Open };
        let (watch, told) = watch::channel(open);
        let followed = start_told(&kubelet, 0, None, told);
        seconds(told_after).await;
        watch.send_replace(ended(0));
        assert_eq!(followed.lines().await, texts(&whole));
        assert_eq!((kubelet.opened(), kubelet.states_asked()), (2, 0), "{told_after} s");
    }
}

#[tokio::test(start_paused = true)]
async fn pod_whose_watch_tells_no_end_of_this_run_is_asked_for() {
    let whole = run(0..500, 37);
    let open = |restart_count| ContainerNow::Run { restart_count, state: RunState::Open };
    for (now, watched) in [(open(0), true), (ContainerNow::PodGone, true), (ContainerNow::Unknown, false)] {
        let kubelet = SimKubelet::new(Restarts::Never, vec![whole.clone()]);
        let (watch, told) = watch::channel(now.clone());
        let kept = watched.then_some(watch);
        assert_eq!(start_told(&kubelet, 0, None, told).lines().await, texts(&whole));
        assert!(kubelet.states_asked() > 0, "{now:?}");
        drop(kept);
    }
}

#[tokio::test(start_paused = true)]
async fn next_run_that_the_watch_tells_is_read_without_asking_for_the_pod() {
    let kubelet = SimKubelet::new(Restarts::Possible, vec![run(0..3, 1_000)]);
    let (watch, told) = watch::channel(ContainerNow::Run { restart_count: 0, state: RunState::Restartable });
    let followed = start_told(&kubelet, 0, None, told);
    seconds(1).await;
    kubelet.change(|pod| pod.runs.push(run(3..6, 1_000)));
    watch.send_replace(ended(1));
    assert_eq!(
        followed.lines().await,
        ["line 0", "line 1", "line 2", "MARK restart 1: its log follows", "line 3", "line 4", "line 5"]
    );
    assert_eq!(kubelet.states_asked(), 0);
    drop(watch);
}

#[tokio::test(start_paused = true)]
async fn last_line_without_a_newline_is_delivered_at_the_end() {
    let kubelet = SimKubelet::new(Restarts::Never, vec![SimRun { tail: b"no newline".into(), ..run(0..3, 1) }]);
    assert_eq!(start(&kubelet, 0, None).lines().await, ["line 0", "line 1", "line 2", "no newline"]);
}

#[tokio::test(start_paused = true)]
async fn long_silence_opens_the_stream_anew_and_delivers_what_comes_then_at_once() {
    let kubelet = SimKubelet::new(Restarts::Never, vec![SimRun { ended: false, ..run(0..10, 100) }]);
    kubelet.change(|pod| pod.faults.push_back(Fault::Freeze(100)));
    let followed = start(&kubelet, 0, None);
    seconds(600).await;
    assert!((8..=12).contains(&kubelet.opened()), "{}", kubelet.opened());
    kubelet.change(|pod| pod.runs = vec![run(0..20, 100)]);
    assert_eq!(followed.lines().await, texts(&run(0..20, 100)));
}

#[tokio::test(start_paused = true)]
async fn container_that_waits_to_start_is_waited_for_without_a_busy_loop() {
    let kubelet = SimKubelet::new(Restarts::Never, vec![SimRun { ended: false, ..SimRun::default() }]);
    let waiting = Fault::Refuse(400, "container \"base\" in pod \"train-abc\" is waiting to start: ContainerCreating");
    kubelet.change(|pod| pod.faults = std::iter::repeat_n(waiting, 20).collect());
    let followed = start(&kubelet, 0, None);
    seconds(30).await;
    assert!(kubelet.opened() < 20, "{}", kubelet.opened());
    kubelet.change(|pod| (pod.runs, pod.faults) = (vec![run(0..5, 10)], VecDeque::new()));
    assert_eq!(followed.lines().await, texts(&run(0..5, 10)));
}

#[tokio::test(start_paused = true)]
async fn missing_right_is_named_once_and_ends_this_log() {
    let kubelet = SimKubelet::new(Restarts::Never, vec![run(0..5, 10)]);
    kubelet.change(|pod| pod.faults.push_back(Fault::Refuse(403, "pods \"train-abc\" is forbidden")));
    let lines = start(&kubelet, 0, None).lines().await;
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("allow the verb `get` on `pods/log`"), "{lines:?}");
    assert_eq!(kubelet.opened(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_the_right_to_read_pods_the_log_is_delivered_and_said_to_be_unverified() {
    let kubelet = SimKubelet::new(Restarts::Never, vec![run(0..5, 10)]);
    kubelet.change(|pod| pod.look_refused = true);
    let mut lines = start(&kubelet, 0, None).lines().await;
    assert!(lines.pop().unwrap().contains("allow the verb `get` on `pods`"));
    assert_eq!(lines, texts(&run(0..5, 10)));
}

#[tokio::test(start_paused = true)]
async fn kubelet_that_is_down_is_waited_for() {
    let whole = run(0..50, 10);
    let kubelet = SimKubelet::new(Restarts::Never, vec![whole.clone()]);
    kubelet.change(|pod| {
        pod.faults.push_back(Fault::End(333));
        pod.faults.extend(std::iter::repeat_n(Fault::Refuse(500, "connect: connection refused"), 30));
    });
    assert_eq!(start(&kubelet, 0, None).lines().await, texts(&whole));
}

#[tokio::test(start_paused = true)]
async fn words_of_the_kubelet_never_pass_for_log_text() {
    let whole = run(0..5, 10);
    let words = "unable to retrieve container logs for containerd://1";
    let kubelet = SimKubelet::new(Restarts::Never, vec![whole.clone()]);
    kubelet.change(|pod| pod.faults = [Fault::Words(words), Fault::End(70), Fault::Words(words)].into());
    assert_eq!(start(&kubelet, 0, None).lines().await, texts(&whole));

    let kubelet = SimKubelet::new(Restarts::Never, vec![whole]);
    kubelet.change(|pod| pod.faults = std::iter::repeat_n(Fault::Words(words), 100).collect());
    let lines = start(&kubelet, 0, None).lines().await;
    assert_eq!(lines, [format!("MARK the rest of the log cannot be read any more: {words}")]);
}

#[tokio::test(start_paused = true)]
async fn lines_behind_words_of_the_kubelet_are_not_lost() {
    let whole = run(0..5, 10);
    let kubelet = SimKubelet::new(Restarts::Never, vec![whole.clone()]);
    let words = "unable to retrieve container logs for containerd://1\n2026-01-01T00:00:00.000000000Z line 0\n";
    kubelet.change(|pod| pod.faults.push_back(Fault::Words(words)));
    assert_eq!(start(&kubelet, 0, None).lines().await, texts(&whole));
}

#[tokio::test(start_paused = true)]
async fn pod_that_goes_while_the_stream_is_broken_leaves_a_mark() {
    let kubelet = SimKubelet::new(Restarts::Never, vec![SimRun { ended: false, ..run(0..5, 10) }]);
    kubelet.change(|pod| pod.faults.push_back(Fault::Freeze(110)));
    let followed = start(&kubelet, 0, None);
    seconds(1).await;
    kubelet.change(|pod| pod.gone = true);
    let lines = followed.lines().await;
    // What was read of the third line is all there will ever be.
    assert_eq!(lines, ["line 0", "line 1", "lin", "MARK the Pod is gone: the end of this log may be missing"]);
}

#[tokio::test(start_paused = true)]
async fn rotated_file_is_marked_where_lines_may_be_missing() {
    let kubelet = SimKubelet::new(Restarts::Never, vec![SimRun { ended: false, ..run(0..50, 100) }]);
    let followed = start(&kubelet, 0, None);
    seconds(1).await;
    kubelet.change(|pod| pod.runs = vec![run(80..100, 100)]);
    let mut expected = texts(&run(0..50, 100));
    let lines = followed.lines().await;
    expected.push("MARK lines may be missing here: the log was rotated before it was read on".into());
    expected.extend(texts(&run(80..100, 100)));
    assert_eq!(lines, expected);
}

/// The lines of two runs with what is said between them.
fn two_runs(first: &SimRun, second: &SimRun) -> Vec<String> {
    let mut lines = texts(first);
    lines.push("MARK restart 1: its log follows".into());
    lines.extend(texts(second));
    lines
}

#[tokio::test(start_paused = true)]
async fn restarted_container_has_its_first_log_completed_and_its_second_whole() {
    let (first, second) = (run(0..30, 100), run(100..130, 100));
    for cut in [0, 1, 333, 1_000] {
        let kubelet = SimKubelet::new(Restarts::Possible, vec![SimRun { ended: false, ..run(0..20, 100) }]);
        kubelet.change(|pod| pod.faults.push_back(Fault::Break(cut)));
        let followed = start(&kubelet, 0, None);
        tokio::task::yield_now().await;
        kubelet.change(|pod| (pod.runs, pod.told) = (vec![first.clone(), second.clone()], 1));
        assert_eq!(followed.lines().await, two_runs(&first, &second), "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn pause_between_two_runs_costs_few_reads_and_ends_no_log() {
    let (first, second) = (run(0..30, 100), run(100..130, 100));
    let kubelet = SimKubelet::new(Restarts::Possible, vec![first.clone()]);
    kubelet.change(|pod| pod.restarts = Restarts::Soon);
    let followed = start(&kubelet, 0, None);
    seconds(300).await;
    assert!(kubelet.opened() <= 3, "{}", kubelet.opened());
    kubelet.change(|pod| {
        pod.restarts = Restarts::Possible;
        (pod.runs, pod.told) = (vec![first.clone(), second.clone()], 1);
    });
    assert_eq!(followed.lines().await, two_runs(&first, &second));
}

#[tokio::test(start_paused = true)]
async fn log_of_the_next_run_that_is_served_before_the_pod_tells_of_it_is_not_mixed_in() {
    let (first, second) = (run(0..30, 100), run(100..130, 100));
    for told_after in [1, 4, 9] {
        let kubelet = SimKubelet::new(Restarts::Possible, vec![SimRun { ended: false, ..run(0..20, 100) }]);
        let followed = start(&kubelet, 0, None);
        seconds(1).await;
        // The stream breaks off, then the API is behind.
        kubelet.change(|pod| pod.runs[0].ended = true);
        kubelet.change(|pod| pod.runs = vec![first.clone(), second.clone()]);
        seconds(told_after).await;
        kubelet.change(|pod| pod.told = 1);
        assert_eq!(followed.lines().await, two_runs(&first, &second), "told after {told_after} s");
    }
}

#[tokio::test(start_paused = true)]
async fn lines_of_the_next_run_read_too_early_are_neither_lost_nor_doubled() {
    // Nothing was read of the first run when the kubelet began to serve the second one.
    let (first, second) = (run(0..30, 100), run(100..130, 100));
    let kubelet =
        SimKubelet::new(Restarts::Possible, vec![first.clone(), SimRun { ended: false, ..run(100..110, 100) }]);
    kubelet.change(|pod| pod.told = 0);
    let followed = start(&kubelet, 0, None);
    seconds(5).await;
    kubelet.change(|pod| (pod.runs, pod.told) = (vec![first.clone(), second.clone()], 1));
    let lines: Vec<_> = followed.lines().await.into_iter().filter(|line| !line.starts_with("MARK")).collect();
    let mut sorted = lines.clone();
    sorted.sort_by_key(|line| line[5..].parse::<u32>().unwrap());
    let mut expected = texts(&first);
    expected.extend(texts(&second));
    assert_eq!(sorted, expected, "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn container_met_after_its_restart_has_both_its_logs() {
    let (first, second) = (run(0..30, 100), run(100..130, 100));
    let kubelet = SimKubelet::new(Restarts::Possible, vec![first.clone(), second.clone()]);
    assert_eq!(start(&kubelet, 1, None).lines().await, two_runs(&first, &second));
}

#[tokio::test(start_paused = true)]
async fn position_of_an_earlier_run_completes_it_first() {
    let (first, second) = (run(0..30, 100), run(100..130, 100));
    let mut undelivered = Undelivered::new(0, None);
    undelivered.begin();
    undelivered.feed(&served(&run(0..10, 100), None), &mut Vec::new());
    let kubelet = SimKubelet::new(Restarts::Possible, vec![first, second.clone()]);
    let followed = start(&kubelet, 1, Some(undelivered.position()));
    assert_eq!(followed.lines().await, two_runs(&run(10..30, 100), &second));
}

#[tokio::test(start_paused = true)]
async fn gigantic_line_and_bytes_that_are_no_text_are_survived() {
    let kubelet = SimKubelet::new(
        Restarts::Never,
        vec![SimRun {
            lines: vec![(1, vec![b'x'; 10 << 20]), (2, b"odd \xff\xfe bytes\r".to_vec()), (3, b"after".to_vec())],
            ended: true,
            ..SimRun::default()
        }],
    );
    kubelet.change(|pod| pod.faults.push_back(Fault::Break(5 << 20)));
    let records = start(&kubelet, 0, None).records().await;
    assert!(records.iter().all(|record| record.text.len() <= 100 << 10));
    let text: String = records.iter().map(|record| record.text.replace('\n', "")).collect();
    assert_eq!(text.len(), (10 << 20) + "odd \u{fffd}\u{fffd} bytesafter".len());
    assert!(text.ends_with("odd \u{fffd}\u{fffd} bytesafter"));
}

#[tokio::test(start_paused = true)]
async fn log_that_nobody_takes_is_read_no_further_than_the_buffer() {
    let lines = (0..100).map(|n| (n, vec![b'x'; 60_000])).collect();
    let kubelet = SimKubelet::new(Restarts::Never, vec![SimRun { lines, ended: true, ..SimRun::default() }]);
    let (sink, mut receiver) = channel(1 << 20, crate::model::policies::LogFormat::default());
    let source = LogSource {
        namespace: "etl".parse().unwrap(),
        pod: "p".parse().unwrap(),
        pod_uid: "1".into(),
        container: "base".parse().unwrap(),
        index: None,
        alone: true,
    };
    let told = watch::channel(ContainerNow::Unknown).1;
    let start = LogStart { source, restart_count: 0, position: None, told };
    let follower = tokio::spawn(follow(kubelet, start, sink, Arc::default(), LogTiming::default()));
    seconds(3_600).await;
    let mut waiting = 0;
    while let Some(Some(record)) = futures::FutureExt::now_or_never(receiver.next()) {
        waiting += record.text.len();
    }
    assert!((500_000..=1 << 20).contains(&waiting), "{waiting}");
    let mut rest = 0;
    while let Some(record) = receiver.next().await {
        rest += record.text.len();
    }
    assert_eq!(waiting + rest, 100 * 60_000);
    follower.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn reader_whose_lines_nobody_takes_any_more_ends() {
    let kubelet = SimKubelet::new(Restarts::Never, vec![SimRun { ended: false, ..run(0..50, 10) }]);
    let followed = start(&kubelet, 0, None);
    followed.records.abort();
    seconds(1).await;
    kubelet.change(|pod| pod.runs = vec![SimRun { ended: false, ..run(0..60, 10) }]);
    tokio::time::timeout(Duration::from_secs(1), followed.follower).await.expect("it ends").unwrap();
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let down = || Fault::Refuse(500, "connect: connection refused");
    let fault = prop_oneof![
        (0_usize..3_000).prop_map(|at| vec![Fault::Break(at)]),
        (0_usize..3_000).prop_map(move |at| vec![Fault::End(at), down()]),
        (0_usize..3_000).prop_map(|at| vec![Fault::Freeze(at)]),
        Just(vec![down()]),
        Just(vec![Fault::Refuse(503, "apiserver is shutting down")]),
    ];
    prop::collection::vec(fault, 0..8).prop_map(|faults| faults.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_breaks_while_it_is_written_each_line_is_delivered_once(
        steps in prop::collection::vec((0_u64..700, 0_u64..900), 1..60),
        grows in prop::collection::vec((0_usize..60, 0_u64..20), 0..6),
        faults in faults(),
        restarts in prop::sample::select(vec![Restarts::Never, Restarts::Possible]),
    ) {
        let mut now = 1_000;
        let lines: Vec<_> = steps.iter().enumerate().map(|(n, (step, back))| {
            now += step;
            (now - back, format!("line {n}").into_bytes())
        }).collect();
        let whole = SimRun { lines, ended: true, ..SimRun::default() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let delivered = runtime.block_on(async {
            let kubelet = SimKubelet::new(restarts, vec![SimRun::default()]);
            kubelet.change(|pod| pod.faults = faults.into());
            let followed = start(&kubelet, 0, None);
            let mut written = 0;
            for (until, pause) in grows {
                written = written.max(until.min(whole.lines.len()));
                let part = whole.lines[..written].to_vec();
                kubelet.change(|pod| pod.runs[0] = SimRun { lines: part, ..SimRun::default() });
                seconds(pause).await;
            }
            kubelet.change(|pod| pod.runs[0] = whole.clone());
            followed.lines().await
        });
        prop_assert_eq!(delivered, texts(&whole));
    }
}

#[test]
fn end_of_what_is_written_proves_nothing_of_a_container_that_runs() {
    for (which, ended, passes) in [(LogRun::Current, false, 0), (LogRun::Current, true, 1), (LogRun::Follow, false, 1)]
    {
        let mut known = KnownRun { ended, ..KnownRun::default() };
        known.judge(&PassEnd::Clean(which), &mut Undelivered::new(0, None));
        assert_eq!(known.clean_passes, passes, "ended: {ended}");
        assert!(passes > 0 || !(known.clean || known.whole));
    }
}
