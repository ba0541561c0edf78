//! From the bytes of one pass over a log to what is new in it. Pure.
//!
//! A pass begins at a position, so it begins with lines that were delivered before. They are skipped up to the last
//! line delivered, which is known by its number and by its hash (its timestamp is in it). Where that line is not:
//! - earlier than counted: the file was rotated, but nothing is missing; the next pass goes on behind it.
//!   Of several equal lines with equal timestamps the first one counts then: some may be repeated, none is lost.
//! - not there, but newer lines are: it was rotated away, or this is another file. [`ReadPlace::Lost`].
//! - not there, and the file ends: the replay may have been cut. Only where [`EQUAL_REPLAYS`] of an ended container
//!   in a row are equal to the byte is it [`ReadPlace::Lost`].
//!
//! What a lost place means is for the caller to find out; after [`Reader::accept_gap`] all there is is delivered.
//! One thing no reader can see: lines written while no stream was open, after the node's clock was set back by more
//! than a second, until it has caught up; `sinceTime` hides them. [`Reader::container_finished`] finds them where
//! the container ended before that.

use std::collections::BTreeMap;

use crate::{
    logs::{
        lines::{Piece, Splitter, Token},
        record::LogLines,
    },
    model::log_position::{LineHash, Position, Tracker, second},
};

/// A stream that is cut as cleanly as if it were whole is cut elsewhere the next time.
const EQUAL_REPLAYS: u32 = 6;

/// What a pass brings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Output {
    /// Lines that are new, or a part of one.
    Lines(LogLines),
    /// The kubelet's own words instead of a log.
    NotLog(String),
    /// This pass cannot go on; see [`Reader::place`].
    Again,
}

/// Where a pass is, seen from the last line delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadPlace {
    /// Before it: nothing new came yet.
    Sought,
    /// Behind it: what comes is new.
    Reached,
    /// It is elsewhere than counted: begin another pass.
    Moved,
    /// It is not in this log.
    Lost,
}

/// Reads the log of one run of one container, in as many passes as it takes.
#[derive(Debug)]
pub struct Reader {
    run: i32,
    tracker: Tracker,
    splitter: Splitter,
    hash: LineHash,
    place: ReadPlace,
    skip: Skipping,
    /// Bytes delivered of the line behind those to skip.
    partial: usize,
    /// The last replay that ended before the place was reached: its number of lines, their hash; and how often in a
    /// row it came.
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
    /// Which line it should be; none where nobody knows.
    count: Option<u64>,
    /// Lines behind the place are not newer than this, until it is reached.
    newest: Option<String>,
    done: u64,
    /// Where it was seen first, before its number.
    seen_at: Option<u64>,
    seconds: BTreeMap<String, u64>,
    /// Over all lines of the replay.
    whole: LineHash,
}

impl Reader {
    /// A reader of this run that goes on from a position in it, or begins.
    #[must_use]
    pub fn new(run: i32, position: Option<&Position>) -> Self {
        Self {
            run,
            tracker: position.map(Tracker::new).unwrap_or_default(),
            splitter: Splitter::default(),
            hash: LineHash::default(),
            place: ReadPlace::Reached,
            skip: Skipping::default(),
            partial: 0,
            short: None,
            brought: false,
            tail: 0,
        }
    }

    /// The same reader, where what it read turned out to be another run's log.
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
        if let (ReadPlace::Moved, Some(at)) = (self.place, self.skip.seen_at) {
            self.tracker.recount(at);
        }
        let position = self.position();
        let nothing = position.delivered == Some(0);
        self.place = if nothing { ReadPlace::Reached } else { ReadPlace::Sought };
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
    pub fn place(&self) -> ReadPlace {
        self.place
    }

    /// Whether this pass has brought anything new so far.
    #[must_use]
    pub fn brought(&self) -> bool {
        self.brought
    }

    /// Whether this pass showed all that was delivered and nothing else, not even more of an unfinished line.
    #[must_use]
    pub fn nothing_new(&self) -> bool {
        self.place == ReadPlace::Reached && !self.brought && self.splitter.pending() == self.tail
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
        self.place = ReadPlace::Reached;
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
        if self.place != ReadPlace::Sought {
            return;
        }
        // The line that is sought may be the last one, without a newline.
        self.finish(&mut Vec::new());
        if self.place != ReadPlace::Sought {
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
        if matches!(self.place, ReadPlace::Moved | ReadPlace::Lost) {
            outputs.push(Output::Again);
        }
    }

    fn take(&mut self, token: Token<'_>, outputs: &mut Vec<Output>) {
        match (token, self.place) {
            (_, ReadPlace::Moved | ReadPlace::Lost) => {}
            (Token::NotLog(text), _) => outputs.push(Output::NotLog(String::from_utf8_lossy(text).into_owned())),
            (Token::Piece(piece), ReadPlace::Reached) => self.deliver(&piece, outputs),
            (Token::Piece(piece), ReadPlace::Sought) => self.skip(&piece),
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
                skip.seen_at.get_or_insert(skip.done);
            } else if skip.seen_at.is_none() || skip.count == Some(skip.done) {
                self.place = ReadPlace::Reached;
                self.short = None;
                self.tracker.replayed(std::mem::take(&mut self.skip.seconds));
                return;
            }
        }
        if !early && skip.seen_at.is_some() {
            self.place = ReadPlace::Moved;
        }
    }

    /// The place cannot come any more in this pass.
    fn miss(&mut self) {
        self.place = if self.skip.seen_at.is_some() { ReadPlace::Moved } else { ReadPlace::Lost };
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
