use proptest::prelude::*;

use super::*;
use crate::{
    logs::{
        divide::Divider,
        record::{Record, Style},
    },
    model::{log_position::LogSource, policies::LogFormat},
};

const BARE: Style = Style { named: false, format: LogFormat { line_times: false, line_levels: false, raw: true } };

fn source() -> LogSource {
    LogSource {
        namespace: "etl".parse().unwrap(),
        pod: "train-abc".parse().unwrap(),
        pod_uid: "1".into(),
        container: "base".parse().unwrap(),
        index: None,
        alone: true,
    }
}

/// A log file as the kubelet keeps it: lines with their time in milliseconds, in file order.
#[derive(Debug, Clone)]
struct File(Vec<(u64, String)>);

impl File {
    fn stamp(millis: u64) -> String {
        let (seconds, millis) = (millis / 1000, millis % 1000);
        format!("2026-01-01T00:{:02}:{:02}.{millis:03}000000Z", seconds / 60 % 60, seconds % 60)
    }

    /// What a request with this `sinceTime` answers: lines filtered one by one, in file order.
    fn replay(&self, since: Option<&str>) -> Vec<u8> {
        let since = since.map_or("", |since| since.trim_end_matches('Z'));
        let lines = self.0.iter().map(|(millis, text)| (Self::stamp(*millis), text));
        lines
            .filter(|(stamp, _)| stamp.as_str() >= since)
            .flat_map(|(stamp, text)| format!("{stamp} {text}\n").into_bytes())
            .collect()
    }

    fn part(&self, range: impl std::slice::SliceIndex<[(u64, String)], Output = [(u64, String)]>) -> Self {
        Self(self.0[range].to_vec())
    }

    fn texts(&self) -> Vec<String> {
        self.0.iter().map(|(_, text)| text.clone()).collect()
    }
}

fn numbered(count: u64, millis: impl Fn(u64) -> u64) -> File {
    File((0..count).map(|n| (millis(n), format!("line {n}"))).collect())
}

/// What is read, and what was delivered of it. A lost place is taken for a gap.
struct Reading {
    undelivered: Undelivered,
    delivered: Vec<String>,
    /// Bytes delivered of the last line, where it goes on.
    partial: usize,
}

impl Reading {
    fn new(position: Option<&Position>) -> Self {
        Self { undelivered: Undelivered::new(0, position), delivered: Vec::new(), partial: 0 }
    }

    /// One pass, cut after so many bytes, in chunks of any size.
    fn pass(&mut self, file: &File, bytes: usize, chunk: usize) {
        if self.undelivered.state() == ReadState::Lost {
            self.undelivered.accept_gap();
            self.delivered.push("GAP".into());
        }
        let replay = file.replay(self.undelivered.begin().as_deref());
        let mut outputs = Vec::new();
        for chunk in replay[..bytes.min(replay.len())].chunks(chunk.max(1)) {
            self.undelivered.feed(chunk, &mut outputs);
        }
        for output in outputs {
            match output {
                Output::Lines(lines) => {
                    let goes_on = std::mem::replace(&mut self.partial, lines.position.partial) > 0;
                    let text = Record::lines(&source(), lines, BARE, &mut Divider::default()).text;
                    let (first, rest) =
                        text.split_once('\n').map_or((&*text, None), |(first, rest)| (first, Some(rest)));
                    if goes_on {
                        self.delivered.last_mut().unwrap().push_str(first);
                    } else {
                        self.delivered.push(first.to_owned());
                    }
                    self.delivered.extend(rest.into_iter().flat_map(|rest| rest.split('\n')).map(str::to_owned));
                }
                Output::NotLog(text) => self.delivered.push(format!("NOT LOG {text}")),
                Output::Again => {}
            }
        }
    }

    /// Passes over the log of an ended container, until one brings nothing.
    fn read_to_the_end(&mut self, file: &File) {
        for _ in 0..2 * EQUAL_REPLAYS {
            self.pass(file, usize::MAX, usize::MAX);
            self.undelivered.ended();
            if self.undelivered.nothing_new() {
                return;
            }
        }
        panic!("reading does not come to an end: {:?}", self.undelivered);
    }
}

/// All of `before`, then the end of `after`.
fn read(before: &File, after: &File) -> Vec<String> {
    let mut reading = Reading::new(None);
    reading.pass(before, usize::MAX, usize::MAX);
    reading.read_to_the_end(after);
    reading.delivered
}

#[test]
fn cut_in_the_middle_of_a_long_line_goes_on_behind_what_was_delivered() {
    let file = File(vec![(0, "a".into()), (1, "x".repeat(300_000)), (2, "z".into())]);
    let mut reading = Reading::new(None);
    for bytes in [200_000, 250_000] {
        reading.pass(&file, bytes, 8_191);
    }
    reading.read_to_the_end(&file);
    assert_eq!(reading.delivered, file.texts());
}

#[test]
fn lines_rotated_away_leave_a_mark_and_the_rest_is_delivered() {
    let file = numbered(100, |n| n * 100);
    let mut expected = file.part(..50).texts();
    expected.push("GAP".into());
    expected.extend(file.part(60..).texts());
    assert_eq!(read(&file.part(..50), &file.part(60..)), expected);
}

#[test]
fn rotation_in_the_second_of_the_last_line_is_noticed_when_the_file_ends() {
    let file = numbered(100, |n| n);
    let mut expected = file.part(..50).texts();
    expected.push("GAP".into());
    expected.extend(file.part(60..).texts());
    assert_eq!(read(&file.part(..50), &file.part(60..)), expected);
}

#[test]
fn rotation_that_loses_only_delivered_lines_leaves_no_mark() {
    for millis in [1, 10, 100, 1500] {
        let file = numbered(100, |n| n * millis);
        assert_eq!(read(&file.part(..50), &file.part(40..)), file.texts(), "{millis} ms");
    }
}

#[test]
fn rotated_file_of_a_running_container_is_noticed_at_the_first_newer_line() {
    let file = numbered(100, |n| n * 100);
    let mut reading = Reading::new(None);
    reading.pass(&file.part(..50), usize::MAX, usize::MAX);
    reading.pass(&file.part(60..), usize::MAX, usize::MAX);
    assert_eq!(reading.undelivered.state(), ReadState::Lost);
}

#[test]
fn replay_that_is_cut_before_the_place_is_no_gap() {
    let file = numbered(50, |n| n * 10);
    let mut reading = Reading::new(None);
    reading.pass(&file.part(..40), usize::MAX, usize::MAX);
    for bytes in [0, 100, 900] {
        // As cleanly as if the file were that short.
        reading.pass(&file, bytes, usize::MAX);
        reading.undelivered.ended();
        assert_eq!(reading.undelivered.state(), ReadState::Sought);
    }
    reading.read_to_the_end(&file);
    assert_eq!(reading.delivered, file.texts());
}

#[test]
fn equal_lines_with_equal_times_are_each_delivered_once() {
    let file = File(vec![(7, "same".into()); 9]);
    assert_eq!(read(&file.part(..4), &file), file.texts());
}

fn file(lines: &[(u64, &str)]) -> File {
    File(lines.iter().map(|(millis, text)| (*millis, (*text).to_owned())).collect())
}

#[test]
fn of_equal_lines_in_a_rotated_file_none_is_lost() {
    let before = file(&[(7, "a"), (7, "b"), (7, "same")]);
    let after = file(&[(7, "same"), (7, "same"), (8, "z")]);
    assert_eq!(read(&before, &after), ["a", "b", "same", "same", "z"]);
}

#[test]
fn position_stored_among_equal_lines_still_counts_them_a_second_later() {
    let mut lines = vec![(1_000, "a"); 3];
    lines.extend([(2_500, "same"); 6]);
    lines.extend([(3_500, "again"); 4]);
    let whole = file(&lines);
    let mut first = Reading::new(None);
    first.pass(&whole.part(..6), usize::MAX, usize::MAX);
    let mut second = Reading::new(Some(&first.undelivered.position()));
    second.pass(&whole.part(..11), usize::MAX, usize::MAX);
    second.read_to_the_end(&whole);
    assert_eq!(second.delivered, whole.part(6..).texts());
}

#[test]
fn clock_that_steps_back_under_an_open_stream_loses_and_doubles_no_line() {
    let file = numbered(60, |n| if n < 30 { 20_000 + n * 100 } else { 15_500 + n * 10 });
    let mut reading = Reading::new(None);
    for visible in [35, 45] {
        reading.pass(&file.part(..visible), usize::MAX, usize::MAX);
    }
    reading.read_to_the_end(&file);
    assert_eq!(reading.delivered, file.texts());
}

#[test]
fn lines_hidden_by_a_clock_that_stepped_back_while_nobody_read_are_found_at_the_end() {
    let file = numbered(60, |n| if n < 30 { 20_000 + n * 100 } else { 15_500 + n * 10 });
    let mut reading = Reading::new(None);
    reading.pass(&file.part(..30), usize::MAX, usize::MAX);
    reading.pass(&file, usize::MAX, usize::MAX);
    assert_eq!(reading.delivered.len(), 30);
    reading.undelivered.container_finished("2026-01-01T00:00:16");
    reading.read_to_the_end(&file);
    assert_eq!(reading.delivered, file.texts());
}

#[test]
fn stored_position_goes_on_exactly_also_over_further_cuts() {
    let file = numbered(60, |n| n * 130);
    for handed_over in 0..60 {
        let mut first = Reading::new(None);
        first.pass(&file.part(..handed_over), usize::MAX, usize::MAX);
        let mut second = Reading::new(Some(&first.undelivered.position()));
        second.pass(&file, 2_000, 100);
        second.read_to_the_end(&file);
        assert_eq!(second.delivered, file.part(handed_over..).texts(), "after {handed_over}");
    }
}

#[test]
fn last_line_without_a_newline_is_known_again_when_its_position_was_stored() {
    let mut undelivered = Undelivered::new(0, None);
    let stored = |undelivered: &mut Undelivered| {
        let bytes = b"2026-01-01T00:00:05.000000000Z end".as_slice();
        undelivered.begin();
        let mut outputs = Vec::new();
        undelivered.feed(bytes, &mut outputs);
        assert!(outputs.is_empty());
        undelivered.ended();
        undelivered.finish(&mut outputs);
        (undelivered.position(), outputs.len())
    };
    let (position, lines) = stored(&mut undelivered);
    assert_eq!(lines, 1);
    assert_eq!(stored(&mut Undelivered::new(0, Some(&position))), (position, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn whatever_cuts_the_stream_each_line_is_delivered_once(
        steps in prop::collection::vec((0_u64..700, 0_u64..900, 0_usize..40), 1..60),
        cuts in prop::collection::vec((0_usize..60, 0_usize..3_000, 1_usize..400, any::<bool>()), 0..12),
    ) {
        // Times grow, except that neighbours may be out of order by less than a second.
        let mut now = 5_000;
        let file = File(steps.iter().enumerate().map(|(n, (step, back, width))| {
            now += step;
            (now - back, format!("line {n} {}", "x".repeat(*width)))
        }).collect());
        let (mut reading, mut written) = (Reading::new(None), 0);
        for (visible, bytes, chunk, hand_over) in cuts {
            written = written.max(visible.min(file.0.len()));
            reading.pass(&file.part(..written), bytes, chunk);
            if hand_over {
                let stored = serde_json::to_string(&reading.undelivered.position()).unwrap();
                reading.undelivered = Undelivered::new(0, Some(&serde_json::from_str(&stored).unwrap()));
            }
        }
        reading.read_to_the_end(&file);
        prop_assert_eq!(reading.delivered, file.texts());
    }

    #[test]
    fn whatever_rotates_no_line_that_is_left_is_lost_and_none_is_doubled(
        steps in prop::collection::vec(0_u64..1_500, 2..60),
        cut in 0_usize..60,
        dropped in 0_usize..60,
    ) {
        let mut now = 5_000;
        let file = File(steps.iter().enumerate().map(|(n, step)| {
            now += step;
            (now, format!("line {n}"))
        }).collect());
        let (cut, dropped) = (cut.min(file.0.len()), dropped.min(file.0.len()));
        let delivered = read(&file.part(..cut), &file.part(dropped..));
        let lines: Vec<_> = delivered.iter().filter(|line| *line != "GAP").cloned().collect();
        let mut expected = file.part(..cut).texts();
        expected.extend(file.part(dropped.max(cut)..).texts());
        prop_assert_eq!(lines, expected);
        prop_assert!(dropped <= cut || cut == 0 || delivered.contains(&"GAP".to_owned()));
    }
}
