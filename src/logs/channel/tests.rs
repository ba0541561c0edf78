use futures::FutureExt;
use proptest::prelude::*;

use super::*;
use crate::{logs::lines::Piece, model::log_position::Position};

fn source(pod: &str) -> Arc<LogSource> {
    Arc::new(LogSource {
        namespace: "etl".parse().unwrap(),
        pod: pod.parse().unwrap(),
        pod_uid: pod.into(),
        container: "base".parse().unwrap(),
        index: None,
        alone: true,
    })
}

fn line(number: u64) -> Line {
    line_of(number, &format!("line {number}"))
}

fn line_of(number: u64, text: &str) -> Line {
    let stamp = format!("2026-01-01T06:00:00.{:03}456789Z", number % 1000);
    let piece = Piece { stamp: &stamp, text: text.as_bytes(), offset: 0, last: true };
    Line::Text(LogLines::new(&piece, Position { delivered: Some(number), ..Position::default() }))
}

/// What a reader puts at once, of which there is room for all in a record.
fn lines(numbers: std::ops::Range<u64>) -> Line {
    let mut numbers = numbers.map(line);
    let Some(Line::Text(first)) = numbers.next() else { unreachable!() };
    Line::Text(numbers.fold(first, |mut lines, next| {
        let Line::Text(next) = next else { unreachable!() };
        assert_eq!(lines.join(next), None);
        lines
    }))
}

/// Room for so many of these lines.
fn room(lines: usize) -> usize {
    lines * (size_of::<Line>() + line(100).bytes())
}

fn position(record: &Record) -> u64 {
    record.position.as_ref().unwrap().position.delivered.unwrap()
}

/// Puts these lines as a reader does, one after the other; the number of those that were taken.
fn reader(sink: &Sink, source: &Arc<LogSource>, numbers: std::ops::Range<u64>) -> tokio::task::JoinHandle<u64> {
    let (sink, source) = (sink.clone(), Arc::clone(source));
    tokio::spawn(async move {
        let mut put = 0;
        for number in numbers {
            put += u64::from(sink.put(&source, line(number)).await);
        }
        put
    })
}

async fn records(mut receiver: Receiver) -> Vec<Record> {
    let mut records = Vec::new();
    while let Some(record) = receiver.next().await {
        records.push(record);
    }
    records
}

/// Nothing that was begun goes on any more without the receiver.
async fn settle() {
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn sources_interleaved_line_by_line_under_back_pressure_have_full_records_in_turns() {
    let (sink, mut receiver) = channel(room(400), LogFormat::default());
    let sources = ["a", "b"].map(source);
    let writer = tokio::spawn(async move {
        for number in 100..900 {
            for source in &sources {
                assert!(sink.put(source, line(number)).await);
            }
        }
    });
    let mut records = Vec::new();
    loop {
        settle().await;
        let Some(record) = receiver.next().await else { break };
        records.push(record);
    }
    writer.await.unwrap();
    let pods: Vec<_> = records.iter().map(|record| record.pod.as_str()).collect();
    assert_eq!(pods, ["a", "b"].repeat(8));
    assert!(records.iter().all(|record| record.lines == 100), "{records:?}");
    for pod in ["a", "b"] {
        let of_pod = || records.iter().filter(|record| record.pod == pod);
        let ends: Vec<_> = of_pod().map(position).collect();
        assert_eq!(ends, (1..=8).map(|record| 99 + 100 * record).collect::<Vec<_>>());
        let lines: Vec<_> = of_pod().flat_map(|record| record.text.lines()).collect();
        assert_eq!(lines, (100..900).map(|number| format!("line {number}")).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn source_that_never_stops_does_not_starve_one_with_a_single_line() {
    let (sink, mut receiver) = channel(room(1_000), LogFormat::default());
    let (chatty, quiet) = (source("chatty"), source("quiet"));
    let writer = reader(&sink, &chatty, 100..u64::MAX);
    settle().await;
    let put = sink.put(&quiet, line(1));
    let mut put = std::pin::pin!(put);
    assert!(futures::poll!(&mut put).is_pending(), "there is no room");
    assert_eq!(receiver.next().await.unwrap().pod, "chatty");
    assert!(put.await);
    let next = [receiver.next().await.unwrap(), receiver.next().await.unwrap()];
    assert!(next.iter().any(|record| record.pod == "quiet"), "{next:?}");
    writer.abort();
}

#[tokio::test]
async fn mark_stays_at_its_place_in_the_log_of_its_source() {
    let (sink, receiver) = channel(1 << 20, LogFormat::default());
    let (restarted, other) = (source("a"), source("b"));
    for number in 0..3 {
        sink.put(&restarted, line(number)).await;
    }
    sink.put(&restarted, Line::Mark("restart 1".into())).await;
    sink.put(&restarted, line(3)).await;
    sink.put(&other, line(7)).await;
    drop(sink);
    let texts: Vec<_> = records(receiver).await.into_iter().map(|record| (record.pod, record.text)).collect();
    let expected = [("a", "line 0\nline 1\nline 2"), ("b", "line 7"), ("a", "restart 1"), ("a", "line 3")];
    assert_eq!(texts, expected.map(|(pod, text)| (pod.to_owned(), text.to_owned())));
}

#[tokio::test]
async fn several_sources_are_named_once_they_are_known_to_be_several() {
    let (sink, receiver) = channel(1 << 20, LogFormat::default());
    sink.name_sources(true);
    sink.name_sources(false);
    sink.put(&source("train-abc"), line(1)).await;
    sink.put(&source("train-xyz"), line(2)).await;
    drop(sink);
    let texts: Vec<_> = records(receiver).await.into_iter().map(|record| record.text).collect();
    assert_eq!(texts, ["[abc/base] line 1", "[xyz/base] line 2"]);
}

#[tokio::test]
async fn readers_of_all_sources_wait_while_there_is_no_room() {
    let (sink, mut receiver) = channel(room(150), LogFormat::default());
    let sources = ["a", "b", "c"].map(source);
    let readers = sources.each_ref().map(|source| reader(&sink, source, 100..300));
    settle().await;
    assert!(readers.iter().all(|reader| !reader.is_finished()));
    let count = |(line, _): &(Line, usize)| if let Line::Text(lines) = line { lines.count } else { 0 };
    let waiting = |queue: &Queue| queue.records.iter().map(count).sum::<usize>();
    assert_eq!(receiver.channel.waiting().turns.iter().map(waiting).sum::<usize>(), 150);
    drop(sink);
    let mut lines = 0;
    while let Some(record) = receiver.next().await {
        lines += record.lines;
    }
    assert_eq!(lines, 600);
    assert_eq!(receiver.channel.capacity.available_permits(), room(150), "all of the room is there again");
}

#[tokio::test]
async fn line_longer_than_the_room_goes_through_alone() {
    let (sink, mut receiver) = channel(1_000, LogFormat::default());
    let pod = source("a");
    sink.put(&pod, line(1)).await;
    let long = sink.put(&pod, line_of(2, &"x".repeat(5_000)));
    let mut long = std::pin::pin!(long);
    assert!(futures::poll!(&mut long).is_pending());
    assert_eq!(receiver.next().await.unwrap().text, "line 1");
    assert!(long.await);
    assert_eq!(receiver.next().await.unwrap().text.len(), 5_000);
}

#[tokio::test]
async fn record_has_at_most_a_hundred_lines_and_32_kib() {
    let (sink, receiver) = channel(1 << 20, LogFormat::default());
    let pod = source("a");
    for number in 0..150 {
        sink.put(&pod, line(number)).await;
    }
    for number in 150..156 {
        sink.put(&pod, line_of(number, &"x".repeat(10_000))).await;
    }
    sink.put(&pod, line_of(156, &"x".repeat(100_000))).await;
    drop(sink);
    let records = records(receiver).await;
    let sizes: Vec<_> = records.iter().map(|record| record.lines).collect();
    assert_eq!(sizes, [100, 53, 3, 1]);
}

#[tokio::test]
async fn lines_put_together_wait_for_room_for_all_and_are_joined_as_far_as_a_record_goes() {
    let (sink, receiver) = channel(size_of::<Line>() + 60 * line(100).bytes(), LogFormat::default());
    let pod = source("a");
    let writer = tokio::spawn(async move {
        for number in (100..350).step_by(50) {
            assert!(sink.put(&pod, lines(number..number + 50)).await);
        }
        assert!(sink.put(&pod, line_of(350, &"x".repeat(20_000))).await);
        assert!(sink.put(&pod, line(351)).await);
    });
    let records = records(receiver).await;
    writer.await.unwrap();
    let texts: Vec<_> = records.iter().flat_map(|record| record.text.lines().map(str::to_owned)).collect();
    let expected = (100..350).map(|number| format!("line {number}")).chain(["x".repeat(20_000), "line 351".into()]);
    assert_eq!(texts, expected.collect::<Vec<_>>());
    assert!(records[..5].iter().all(|record| record.lines == 50), "as many as there is room for");

    let (sink, mut receiver) = channel(1 << 20, LogFormat::default());
    for numbers in [100..160, 160..200, 200..260, 260..301, 301..302] {
        assert!(sink.put(&source("a"), lines(numbers)).now_or_never().unwrap());
    }
    let sizes = |receiver: &mut Receiver| {
        std::iter::from_fn(|| receiver.next().now_or_never().flatten()).map(|record| record.lines).collect::<Vec<_>>()
    };
    assert_eq!(sizes(&mut receiver), [60, 40, 60, 41, 1], "each `Arc` is a source");
    let pod = source("a");
    for numbers in [100..160, 160..200, 200..260, 260..301, 301..302] {
        assert!(sink.put(&pod, lines(numbers)).now_or_never().unwrap());
    }
    assert_eq!(sizes(&mut receiver), [100, 60, 42]);
    assert_eq!(receiver.channel.capacity.available_permits(), 1 << 20, "all of the room is there again");
}

#[tokio::test]
async fn enough_is_a_record_of_one_source_or_half_the_room_or_the_end() {
    let is_enough = |receiver: &Receiver| receiver.enough().now_or_never().is_some();
    let (sink, mut receiver) = channel(room(1_000), LogFormat::default());
    let pods: Vec<_> = (0..10).map(|number| source(&format!("pod-{number}"))).collect();
    for number in 100..199 {
        sink.put(&pods[0], line(number)).await;
    }
    assert!(!is_enough(&receiver));
    sink.put(&pods[1], line(100)).await;
    assert!(!is_enough(&receiver), "many small records would be made of them");
    tokio::join!(receiver.enough(), async {
        settle().await;
        sink.put(&pods[0], line(199)).await;
    });
    while receiver.next().now_or_never().is_some() {}

    for number in 100..150 {
        assert!(!is_enough(&receiver), "{number}");
        for pod in &pods {
            sink.put(pod, line(number)).await;
        }
    }
    assert!(is_enough(&receiver), "readers would wait soon");
    while receiver.next().now_or_never().is_some() {}

    sink.put(&pods[0], line(100)).await;
    assert!(!is_enough(&receiver));
    drop(sink);
    assert!(is_enough(&receiver));
}

#[tokio::test]
async fn wait_tells_of_lines_and_of_the_end_without_taking_anything() {
    let (sink, mut receiver) = channel(1 << 20, LogFormat::default());
    assert!(receiver.wait().now_or_never().is_none());
    let another = sink.clone();
    sink.put(&source("a"), line(1)).await;
    assert!(receiver.wait().await && receiver.wait().await);
    drop((sink, another));
    assert!(receiver.wait().await);
    assert_eq!(receiver.next().await.unwrap().text, "line 1");
    assert!(!receiver.wait().await);
    assert_eq!(receiver.next().await, None);
}

#[tokio::test]
async fn reader_that_waits_for_room_learns_that_nobody_takes_any_more() {
    let (sink, receiver) = channel(room(10), LogFormat::default());
    let writer = reader(&sink, &source("a"), 100..200);
    settle().await;
    drop(receiver);
    assert_eq!(writer.await.unwrap(), 10);
    assert!(!sink.put(&source("b"), line(1)).await);
    assert!(sink.0.channel.waiting().turns.is_empty(), "what nobody will take is kept by nobody");
}

#[tokio::test]
async fn put_that_is_given_up_while_it_waits_takes_no_room() {
    let (sink, mut receiver) = channel(room(10), LogFormat::default());
    let pod = source("a");
    let writer = reader(&sink, &pod, 100..200);
    settle().await;
    writer.abort();
    assert!(writer.await.unwrap_err().is_cancelled());
    assert_eq!(receiver.next().await.unwrap().lines, 10);
    assert_eq!(receiver.channel.capacity.available_permits(), room(10));
}

#[tokio::test]
async fn idle_channel_costs_less_than_200_bytes_also_after_many_sources() {
    let (sink, mut receiver) = channel(1 << 20, LogFormat { line_times: true, ..LogFormat::default() });
    // Each of the two allocations has two counters before it.
    let counters = 2 * size_of::<usize>();
    let whole =
        size_of_val(&sink) + size_of_val(&receiver) + size_of::<Channel>() + size_of::<Readers>() + 2 * counters;
    assert!(whole < 200, "{whole} bytes");
    for number in 0..100 {
        sink.put(&source("a"), line(number)).await;
    }
    while receiver.next().now_or_never().is_some() {}
    assert_eq!(receiver.channel.waiting().turns.capacity(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_given_up_each_line_comes_once_and_in_order_within_its_source(
        steps in prop::collection::vec((0_usize..4, any::<bool>()), 1..400),
        lines_of_room in 1_usize..40,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (taken, put) = runtime.block_on(async {
            let (sink, mut receiver) = channel(room(lines_of_room), LogFormat::default());
            let sources: Vec<_> = (0..3).map(|number| source(&format!("pod-{number}"))).collect();
            let (mut taken, mut put) = (vec![Vec::new(); 3], vec![Vec::new(); 3]);
            let mut take = |record: Record| {
                let of: usize = record.pod[4..].parse().unwrap();
                taken[of].extend(record.text.lines().map(str::to_owned));
                assert_eq!(taken[of].last(), Some(&format!("line {}", position(&record))));
            };
            for (number, (of, poll_twice)) in (100..).zip(steps) {
                if of == 3 {
                    if let Some(Some(record)) = receiver.next().now_or_never() {
                        take(record);
                    }
                    continue;
                }
                // Polled once, or a second time after some room was made; then given up.
                let mut line = Box::pin(sink.put(&sources[of], line(number)));
                let mut done = futures::poll!(&mut line).is_ready();
                if !done && poll_twice {
                    if let Some(Some(record)) = receiver.next().now_or_never() {
                        take(record);
                    }
                    done = futures::poll!(&mut line).is_ready();
                }
                if done {
                    put[of].push(format!("line {number}"));
                }
            }
            drop(sink);
            while let Some(record) = receiver.next().await {
                take(record);
            }
            (taken, put)
        });
        prop_assert_eq!(taken, put);
    }
}
