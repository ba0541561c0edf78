//! From the bytes of one pass over a log to what is new in it. Pure.
//!
//! A pass begins at a position, so it begins with lines that were delivered before: those are skipped by count, and
//! the last of them must be the line that was last delivered. If it is not, the file was rotated meanwhile: the pass
//! is broken off, and the next one goes on behind that line if the file still has it, else delivers all there is
//! behind a mark. So nothing is lost that can still be read.

use super::{
    lines::{Piece, Splitter, Token},
    position::{LineHash, Position, Tracker},
};

/// What is new.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A line, or a part of one.
    Piece(Piece),
    /// Lines between the last one delivered and the next can no longer be read.
    Gap,
    /// The kubelet's own words instead of a log.
    NotLog(String),
    /// This pass cannot go on; begin another one.
    Again,
}

/// Reads the log of one run of one container, in as many passes as it takes.
#[derive(Debug)]
pub struct Reader {
    tracker: Tracker,
    splitter: Splitter,
    hash: LineHashOf,
    skip: Skip,
    /// What the next pass has to correct, after the file was rotated under this one.
    correction: Option<Correction>,
    /// Whether this pass has brought anything new.
    brought: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Correction {
    /// The last line delivered is now this one of the replay.
    Recount(u64),
    /// It is not there any more.
    Gap,
}

/// Lines to skip at the beginning of a pass.
#[derive(Debug, Default)]
struct Skip {
    left: u64,
    done: u64,
    expected: u64,
    /// Behind which line of this pass the expected one was seen, if it was.
    found_after: Option<u64>,
    /// Bytes of the line after them that were delivered.
    partial: usize,
}

#[derive(Default)]
struct LineHashOf(LineHash);

impl std::fmt::Debug for LineHashOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:x}", self.0.value())
    }
}

impl Reader {
    /// A reader that goes on from a position, or begins.
    #[must_use]
    pub fn new(position: Option<Position>) -> Self {
        Self {
            tracker: Tracker::new(position),
            splitter: Splitter::default(),
            hash: LineHashOf::default(),
            skip: Skip::default(),
            correction: None,
            brought: false,
        }
    }

    /// Begins a pass; returns the `sinceTime` to ask for, and a mark to put before what it brings.
    pub fn begin(&mut self) -> (Option<String>, Option<Output>) {
        let mark = self.correction.take().and_then(|correction| match correction {
            Correction::Recount(lines) => {
                self.tracker.recount(lines);
                None
            }
            Correction::Gap => {
                self.tracker.recount(0);
                Some(Output::Gap)
            }
        });
        let position = self.tracker.position();
        self.splitter = Splitter::default();
        self.hash = LineHashOf::default();
        self.brought = false;
        self.skip =
            Skip { left: position.delivered, expected: position.last, partial: position.partial, ..Skip::default() };
        (position.since, mark)
    }

    /// Whether this pass has brought anything new so far.
    #[must_use]
    pub fn brought(&self) -> bool {
        self.brought
    }

    /// Takes the next bytes of the pass.
    pub fn feed(&mut self, bytes: &[u8], outputs: &mut Vec<Output>) {
        let mut tokens = Vec::new();
        self.splitter.feed(bytes, &mut tokens);
        self.take(tokens, outputs);
    }

    /// The pass is over, and so is the log: what it ends with is a line also without a newline.
    pub fn finish(&mut self, outputs: &mut Vec<Output>) {
        let mut tokens = Vec::new();
        self.splitter.finish(&mut tokens);
        self.take(tokens, outputs);
    }

    /// The kubelet's own words that a pass ended with, instead of a log; they have no newline.
    #[must_use]
    pub fn words_at_the_end(&self) -> Option<String> {
        self.splitter.words()
    }

    /// Whether all that the file holds is less than what was delivered: it was rotated away. To be asked when a pass
    /// ended cleanly or fell silent; the next pass corrects it.
    pub fn cut_short(&mut self) -> bool {
        let short = self.skip.left > 0;
        if short {
            self.plan_correction();
        }
        short
    }

    /// The last pass read another file than it seemed to: its findings do not count.
    pub fn withdraw_correction(&mut self) {
        self.correction = None;
    }

    fn take(&mut self, tokens: Vec<Token>, outputs: &mut Vec<Output>) {
        for token in tokens {
            match token {
                Token::NotLog(text) => outputs.push(Output::NotLog(text)),
                Token::Piece(piece) if self.skip.left > 0 => {
                    if !self.skip_piece(&piece) {
                        outputs.push(Output::Again);
                        return;
                    }
                }
                Token::Piece(piece) => self.deliver(piece, outputs),
            }
        }
    }

    /// False where the line that had to be the last one delivered is another.
    fn skip_piece(&mut self, piece: &Piece) -> bool {
        self.hash_piece(piece);
        if !piece.last {
            return true;
        }
        let hash = self.line_hash();
        self.skip.left -= 1;
        self.skip.done += 1;
        if hash == self.skip.expected {
            self.skip.found_after = Some(self.skip.done);
        } else if self.skip.left == 0 {
            self.plan_correction();
            return false;
        }
        true
    }

    fn plan_correction(&mut self) {
        self.correction = Some(self.skip.found_after.map_or(Correction::Gap, Correction::Recount));
    }

    fn deliver(&mut self, piece: Piece, outputs: &mut Vec<Output>) {
        self.hash_piece(&piece);
        let until = piece.offset + piece.text.len();
        let known = piece.offset < self.skip.partial;
        if piece.last {
            self.skip.partial = 0;
            let hash = self.line_hash();
            self.tracker.delivered_line(&piece.stamp, hash);
        } else {
            self.tracker.delivered_part(until.max(self.skip.partial));
        }
        if !known {
            self.brought = true;
            outputs.push(Output::Piece(piece));
        }
    }

    fn hash_piece(&mut self, piece: &Piece) {
        if piece.offset == 0 {
            self.hash.0.take(piece.stamp.as_bytes());
        }
        self.hash.0.take(&piece.text);
    }

    fn line_hash(&mut self) -> u64 {
        std::mem::take(&mut self.hash).0.value()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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

        fn texts(&self) -> Vec<String> {
            self.0.iter().map(|(_, text)| text.clone()).collect()
        }
    }

    /// One pass over the first `visible` lines, cut after `bytes`.
    fn pass(reader: &mut Reader, file: &File, bytes: usize, delivered: &mut Vec<String>) {
        let (since, mark) = reader.begin();
        let mut outputs: Vec<_> = mark.into_iter().collect();
        let replay = file.replay(since.as_deref());
        reader.feed(&replay[..bytes.min(replay.len())], &mut outputs);
        if bytes > replay.len() {
            reader.cut_short();
        }
        collect(outputs, delivered);
    }

    fn collect(outputs: Vec<Output>, delivered: &mut Vec<String>) {
        for output in outputs {
            match output {
                Output::Piece(piece) => {
                    let text = String::from_utf8(piece.text).unwrap();
                    if piece.offset == 0 { delivered.push(text) } else { delivered.last_mut().unwrap().push_str(&text) }
                }
                Output::Gap => delivered.push("GAP".into()),
                Output::NotLog(text) => delivered.push(format!("NOT LOG {text}")),
                Output::Again => {}
            }
        }
    }

    fn numbered(count: u64, millis: impl Fn(u64) -> u64) -> File {
        File((0..count).map(|n| (millis(n), format!("line {n}"))).collect())
    }

    #[test]
    fn cut_in_the_middle_of_a_long_line_goes_on_behind_what_was_delivered() {
        let file = File(vec![(0, "a".into()), (1, "x".repeat(300_000)), (2, "z".into())]);
        let (mut reader, mut delivered) = (Reader::new(None), Vec::new());
        for bytes in [200_000, 250_000, usize::MAX] {
            pass(&mut reader, &file, bytes, &mut delivered);
        }
        assert_eq!(delivered, file.texts());
    }

    #[test]
    fn lines_rotated_away_leave_a_mark_and_the_rest_is_delivered() {
        let file = numbered(100, |n| n * 100);
        let (mut reader, mut delivered) = (Reader::new(None), Vec::new());
        pass(&mut reader, &File(file.0[..50].to_vec()), usize::MAX, &mut delivered);
        let rotated = File(file.0[60..].to_vec());
        for _ in 0..3 {
            pass(&mut reader, &rotated, usize::MAX, &mut delivered);
        }
        let mut expected = numbered(50, |n| n).texts();
        expected.push("GAP".into());
        expected.extend(rotated.texts());
        assert_eq!(delivered, expected);
    }

    #[test]
    fn rotation_that_loses_only_delivered_lines_leaves_no_mark() {
        let file = numbered(100, |n| n * 10);
        let (mut reader, mut delivered) = (Reader::new(None), Vec::new());
        pass(&mut reader, &File(file.0[..50].to_vec()), usize::MAX, &mut delivered);
        for _ in 0..3 {
            pass(&mut reader, &File(file.0[40..].to_vec()), usize::MAX, &mut delivered);
        }
        assert_eq!(delivered, file.texts());
    }

    #[test]
    fn clock_that_steps_back_loses_no_line() {
        // Seen in a stream that was open when it stepped: `sinceTime` would hide such lines from a pass begun later.
        let file = numbered(60, |n| if n < 30 { 20_000 + n * 100 } else { 19_500 + n * 10 });
        let (mut reader, mut delivered) = (Reader::new(None), Vec::new());
        for visible in [35, 45, 60] {
            pass(&mut reader, &File(file.0[..visible].to_vec()), usize::MAX, &mut delivered);
        }
        assert_eq!(delivered, file.texts());
    }

    #[test]
    fn position_survives_being_stored() {
        let file = numbered(50, |n| n * 300);
        let (mut reader, mut delivered) = (Reader::new(None), Vec::new());
        pass(&mut reader, &File(file.0[..30].to_vec()), usize::MAX, &mut delivered);
        let stored = serde_json::to_string(&reader.tracker.position()).unwrap();
        assert!(stored.len() <= 120, "{stored}");
        let mut reader = Reader::new(Some(serde_json::from_str(&stored).unwrap()));
        pass(&mut reader, &file, usize::MAX, &mut delivered);
        assert_eq!(delivered, file.texts());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]
        #[test]
        fn whatever_cuts_the_stream_each_line_is_delivered_once(
            steps in prop::collection::vec((0_u64..700, 0_u64..500, 0_usize..40), 1..60),
            cuts in prop::collection::vec((0_usize..60, 0_usize..3_000), 0..12),
        ) {
            // Times grow, except that neighbours may be out of order by less than a second.
            let mut now = 5_000;
            let file = File(steps.iter().enumerate().map(|(n, (step, back, width))| {
                now += step;
                (now - back, format!("line {n} {}", "x".repeat(*width)))
            }).collect());
            let (mut reader, mut delivered) = (Reader::new(None), Vec::new());
            for (visible, bytes) in cuts {
                let written = File(file.0[..visible.min(file.0.len())].to_vec());
                // A file only grows.
                let written = if written.0.len() < delivered.len() { file.clone() } else { written };
                pass(&mut reader, &written, bytes, &mut delivered);
            }
            pass(&mut reader, &file, usize::MAX, &mut delivered);
            prop_assert_eq!(delivered, file.texts());
        }
    }
}
