//! Finds what is new in the bytes of one pass over a log. Pure.
//!
//! A pass begins at a position, so it begins with lines that were delivered before. They are skipped up to the last
//! line delivered, which is known by its number and by its hash (its timestamp is in it). Where that line is not:
//! - earlier than counted: the file was rotated, but nothing is missing; the next pass goes on behind it.
//!   Of several equal lines with equal timestamps the first one counts then: some may be repeated, none is lost.
//! - not there, but newer lines are: it was rotated away, or this is another file. [`ReadState::Lost`].
//! - not there, and the file ends: the replay may have been cut. Only where [`EQUAL_REPLAYS`] of an ended container
//!   in a row are equal to the byte is it [`ReadState::Lost`].
//!
//! The caller finds out what [`ReadState::Lost`] means. After [`Undelivered::accept_gap`] everything that is left is delivered.
//! One thing cannot be seen here: lines written while no stream was open, after the node's clock was set back by more
//! than a second, until it has caught up; `sinceTime` hides them. [`Undelivered::container_finished`] finds them where
//! the container ended before that.

use std::collections::BTreeMap;

use crate::{
    logs::{
        lines::{Piece, Splitter, Token},
        record::LogLines,
    },
    model::log_position::{LineHash, Position, Tracker, second},
};

/// A stream that was cut ends at another byte each time, so this many equal replays prove the real end.
const EQUAL_REPLAYS: u32 = 6;

/// What a pass brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// Lines that are new, or a part of one.
    Lines(LogLines),
    /// The kubelet's own words instead of a log.
    NotLog(String),
    /// This pass cannot go on; see [`Undelivered::state`].
    Again,
}

/// Where a pass is, seen from the last line delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadState {
    /// Before it: nothing new came yet.
    Sought,
    /// Behind it: what comes is new.
    Reached,
    /// It is elsewhere than counted: begin another pass.
    Moved,
    /// It is not in this log.
    Lost,
}

/// What of the log of one run of one container was not delivered before, found in as many passes as it takes.
#[derive(Debug)]
pub struct Undelivered {
    run: i32,
    tracker: Tracker,
    splitter: Splitter,
    hash: LineHash,
    state: ReadState,
    skip: Skipping,
    /// Bytes delivered of the line behind those to skip.
    partial: usize,
    /// The last replay that ended before the last line delivered: its number of lines, their hash, and how often in a row
    /// it came.
    short: Option<((u64, u64), u32)>,
    /// Whether this pass has brought anything new.
    brought: bool,
    /// Bytes of an unfinished line at the end of the pass before.
    tail: usize,
}

/// The lines at the beginning of a pass that were delivered before.
#[derive(Debug, Default)]
struct Skipping {
    expected: u64,
    /// The expected number of the last line delivered; none if it is unknown.
    count: Option<u64>,
    /// Until that line is found, no line is newer than this.
    newest: Option<String>,
    done: u64,
    /// Where it was found first, before its number.
    found_at: Option<u64>,
    seconds: BTreeMap<String, u64>,
    /// Over all lines of the replay.
    whole: LineHash,
}

impl Undelivered {
    /// Goes on in this run from a position in it, or begins.
    #[must_use]
    pub fn new(run: i32, position: Option<&Position>) -> Self {
        Self {
            run,
            tracker: position.map(Tracker::new).unwrap_or_default(),
            splitter: Splitter::default(),
            hash: LineHash::default(),
            state: ReadState::Reached,
            skip: Skipping::default(),
            partial: 0,
            short: None,
            brought: false,
            tail: 0,
        }
    }

    /// The same, where what was read turned out to be another run's log.
    #[must_use]
    pub fn of_run(self, run: i32) -> Self {
        Self { run, ..self }
    }

    /// How far was delivered of this run.
    #[must_use]
    pub fn position(&self) -> Position {
        self.tracker.position(self.run)
    }

    /// Begins a pass; returns the `sinceTime` to ask for.
    pub fn begin(&mut self) -> Option<String> {
        if let (ReadState::Moved, Some(at)) = (self.state, self.skip.found_at) {
            self.tracker.recount(at);
        }
        let position = self.position();
        let nothing = position.delivered == Some(0);
        self.state = if nothing { ReadState::Reached } else { ReadState::Sought };
        let newest = self.tracker.newest().map(str::to_owned);
        self.skip = Skipping { expected: position.last, count: position.delivered, newest, ..Skipping::default() };
        self.partial = position.partial;
        self.tail = self.splitter.pending();
        self.splitter = Splitter::default();
        self.hash = LineHash::default();
        self.brought = false;
        position.since.map(|since| since.to_string())
    }

    /// Where this pass is.
    #[must_use]
    pub fn state(&self) -> ReadState {
        self.state
    }

    /// Whether this pass has brought anything new so far.
    #[must_use]
    pub fn brought(&self) -> bool {
        self.brought
    }

    /// Whether this pass showed all that was delivered and nothing else, not even more of an unfinished line.
    #[must_use]
    pub fn nothing_new(&self) -> bool {
        self.state == ReadState::Reached && !self.brought && self.splitter.pending() == self.tail
    }

    /// The container ended at this second. Lines newer than that by more than a second prove that the clock of the
    /// node was set back: later passes begin at the beginning of the file.
    pub fn container_finished(&mut self, finished: &str) {
        self.tracker.container_finished(finished);
    }

    /// What was delivered is not in this log any more: the next pass delivers all of it.
    pub fn accept_gap(&mut self) {
        self.tracker.nothing_left();
        self.short = None;
        self.state = ReadState::Reached;
    }

    /// Takes the next bytes of the pass.
    pub(crate) fn feed(&mut self, bytes: &[u8], outputs: &mut Vec<Output>) {
        self.split(outputs, |splitter, take| splitter.feed(bytes, take));
    }

    /// The kubelet's own words that a pass ended with, instead of a log; they have no newline.
    #[must_use]
    pub fn words_at_the_end(&self) -> Option<String> {
        self.splitter.words()
    }

    /// The pass ended cleanly, and the container had ended before it began: what was not seen is probably not there.
    pub fn ended(&mut self) {
        if self.state != ReadState::Sought {
            return;
        }
        // The line that is sought may be the last one, without a newline.
        self.finish(&mut Vec::new());
        if self.state != ReadState::Sought {
            return;
        }
        let replay = (self.skip.done, self.skip.whole.value());
        let times = self.short.filter(|(before, _)| *before == replay).map_or(1, |(_, times)| times + 1);
        self.short = Some((replay, times));
        if times >= EQUAL_REPLAYS {
            self.miss();
        }
    }

    /// The pass is over, and so is the log: what it ends with is a line also without a newline.
    pub(crate) fn finish(&mut self, outputs: &mut Vec<Output>) {
        self.split(outputs, |splitter, take| splitter.finish(take));
    }

    fn split(&mut self, outputs: &mut Vec<Output>, split: impl FnOnce(&mut Splitter, &mut dyn FnMut(Token<'_>))) {
        let mut splitter = std::mem::take(&mut self.splitter);
        split(&mut splitter, &mut |token| self.take(token, outputs));
        self.splitter = splitter;
        if matches!(self.state, ReadState::Moved | ReadState::Lost) {
            outputs.push(Output::Again);
        }
    }

    fn take(&mut self, token: Token<'_>, outputs: &mut Vec<Output>) {
        match (token, self.state) {
            (_, ReadState::Moved | ReadState::Lost) => {}
            (Token::NotLog(text), _) => outputs.push(Output::NotLog(String::from_utf8_lossy(text).into_owned())),
            (Token::Piece(piece), ReadState::Reached) => self.deliver(&piece, outputs),
            (Token::Piece(piece), ReadState::Sought) => self.skip(&piece),
        }
    }

    fn skip(&mut self, piece: &Piece<'_>) {
        let second = second(piece.stamp);
        if self.skip.newest.as_deref().is_some_and(|newest| *second > *newest) {
            self.miss();
            return;
        }
        self.hash_piece(piece);
        if !piece.last {
            return;
        }
        let hash = self.line_hash();
        let skip = &mut self.skip;
        skip.done += 1;
        skip.whole.take(&hash.to_le_bytes());
        *skip.seconds.entry(second.into_owned()).or_default() += 1;
        let early = skip.count.is_some_and(|count| skip.done < count);
        if hash == skip.expected {
            if early {
                skip.found_at.get_or_insert(skip.done);
            } else if skip.found_at.is_none() || skip.count == Some(skip.done) {
                self.state = ReadState::Reached;
                self.short = None;
                self.tracker.replayed(std::mem::take(&mut self.skip.seconds));
                return;
            }
        }
        if !early && skip.found_at.is_some() {
            self.state = ReadState::Moved;
        }
    }

    /// The place cannot come any more in this pass.
    fn miss(&mut self) {
        self.state = if self.skip.found_at.is_some() { ReadState::Moved } else { ReadState::Lost };
    }

    fn deliver(&mut self, piece: &Piece<'_>, outputs: &mut Vec<Output>) {
        self.hash_piece(piece);
        let known = piece.offset < self.partial;
        if piece.last {
            self.partial = 0;
            let hash = self.line_hash();
            self.tracker.delivered_line(piece.stamp, hash);
        } else {
            self.tracker.delivered_part(self.partial.max(piece.offset + piece.text.len()));
        }
        if known {
            return;
        }
        self.brought = true;
        if let Some(Output::Lines(lines)) = outputs.last_mut()
            && lines.add(piece, || self.position())
        {
            return;
        }
        outputs.push(Output::Lines(LogLines::new(piece, self.position())));
    }

    fn hash_piece(&mut self, piece: &Piece<'_>) {
        if piece.offset == 0 {
            self.hash.take(piece.stamp.as_bytes());
        }
        self.hash.take(piece.text);
    }

    fn line_hash(&mut self) -> u64 {
        std::mem::take(&mut self.hash).value()
    }
}

#[cfg(test)]
mod tests;
