//! Cuts the bytes of a log into lines with their timestamps, in bounded memory. Pure.
//!
//! A line is `<timestamp> <text>\n`. One longer than [`PIECE`] comes in pieces, cut at the same places each time it
//! is read, so that reading can resume in its middle. Bytes that are no UTF-8 become U+FFFD.

use std::mem;

/// The longest text of one piece, in bytes.
pub const PIECE: usize = 64 << 10;
/// The kubelet writes 30 characters (`2006-01-02T15:04:05.000000000Z`); with an offset for a zone 35.
const LONGEST_STAMP: usize = 40;

/// A line, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// When the line was written, as the kubelet says; equal for all pieces of a line.
    pub stamp: &'a str,
    /// The text, as bytes of the log.
    pub text: &'a [u8],
    /// Bytes of the line's text before this piece.
    pub offset: usize,
    /// Whether the line ends here.
    pub last: bool,
}

/// What a stream consists of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Token<'a> {
    /// Something a container wrote.
    Piece(Piece<'a>),
    /// A line without a timestamp: not log text but the kubelet's own words, such as
    /// `unable to retrieve container logs for containerd://...`.
    NotLog(&'a [u8]),
}

/// Takes bytes as they come, and tells what they complete, which most often is still where it was.
#[derive(Debug, Default)]
pub struct Splitter {
    stamp: Option<String>,
    text: Vec<u8>,
    offset: usize,
}

impl Splitter {
    /// Takes the next bytes, tells what they complete.
    pub fn feed(&mut self, mut bytes: &[u8], emit: &mut dyn FnMut(Token<'_>)) {
        while let Some(end) = memchr::memchr(b'\n', bytes) {
            if let Some(piece) = self.whole_line(&bytes[..end]) {
                emit(Token::Piece(piece));
            } else {
                self.take(&bytes[..end], emit);
                self.end_line(emit);
            }
            bytes = &bytes[end + 1..];
        }
        self.take(bytes, emit);
    }

    /// The stream is known to be complete: a last line without a newline is a line, too.
    pub fn finish(&mut self, emit: &mut dyn FnMut(Token<'_>)) {
        if self.stamp.is_some() || !self.text.is_empty() {
            self.end_line(emit);
        }
    }

    /// What there is of a line that does not begin with a timestamp, nor with a part of one.
    pub fn words(&self) -> Option<String> {
        let stamp = self.text.len() < LONGEST_STAMP && self.text.iter().all(|b| b"0123456789-T:.Z+".contains(b));
        let words = self.stamp.is_none() && self.offset == 0 && !stamp;
        words.then(|| String::from_utf8_lossy(&self.text).into_owned())
    }

    /// Bytes of text of a line that has not ended yet.
    pub fn pending(&self) -> usize {
        self.offset + self.text.len()
    }

    /// The line, where all of it is here and it is not cut: as most are, which are not copied so.
    fn whole_line<'a>(&self, line: &'a [u8]) -> Option<Piece<'a>> {
        let begins = self.stamp.is_none() && self.offset == 0 && self.text.is_empty();
        if !begins || line.len() > PIECE {
            return None;
        }
        let space = memchr::memchr(b' ', &line[..line.len().min(LONGEST_STAMP)])?;
        let (stamp, text) = (&line[..space], &line[space + 1..]);
        let stamp = is_stamp(stamp).then(|| std::str::from_utf8(stamp).ok()).flatten()?;
        Some(Piece { stamp, text, offset: 0, last: true })
    }

    fn take(&mut self, mut bytes: &[u8], emit: &mut dyn FnMut(Token<'_>)) {
        while !bytes.is_empty() {
            let room = (PIECE + LONGEST_STAMP).saturating_sub(self.text.len()).max(1);
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.text.extend_from_slice(now);
            bytes = later;
            self.find_stamp();
            while self.text.len() > PIECE {
                // The line goes on.
                self.give(boundary(&self.text, PIECE), false, emit);
            }
        }
    }

    fn find_stamp(&mut self) {
        if self.stamp.is_none()
            && self.offset == 0
            && let Some(space) = memchr::memchr(b' ', &self.text[..self.text.len().min(LONGEST_STAMP)])
            && is_stamp(&self.text[..space])
        {
            let stamp = self.text.drain(..=space).take(space).collect();
            self.stamp = String::from_utf8(stamp).ok();
        }
    }

    fn end_line(&mut self, emit: &mut dyn FnMut(Token<'_>)) {
        self.find_stamp();
        // An empty line is written as a timestamp and a space; some runtimes leave out the space.
        if self.stamp.is_none() && self.offset == 0 && is_stamp(&self.text) {
            self.stamp = String::from_utf8(mem::take(&mut self.text)).ok();
        }
        self.give(self.text.len(), true, emit);
        self.stamp = None;
        self.offset = 0;
    }

    /// Tells so much of the text, and forgets it.
    fn give(&mut self, until: usize, last: bool, emit: &mut dyn FnMut(Token<'_>)) {
        let (text, offset) = (&self.text[..until], self.offset);
        match &self.stamp {
            Some(stamp) => emit(Token::Piece(Piece { stamp, text, offset, last })),
            None if offset == 0 => emit(Token::NotLog(text)),
            // The rest of an overlong line that is no log says nothing more.
            None => {}
        }
        self.offset += until;
        self.text.drain(..until);
    }
}

/// The last place up to `limit` that does not cut a UTF-8 character.
fn boundary(text: &[u8], limit: usize) -> usize {
    let continues = |at: usize| text[at] & 0b1100_0000 == 0b1000_0000;
    (limit - 3..=limit).rev().find(|at| !continues(*at)).unwrap_or(limit)
}

fn is_stamp(text: &[u8]) -> bool {
    text.len() >= 20
        && text.len() < LONGEST_STAMP
        && (text[4], text[7], text[10], text[13], text[16]) == (b'-', b'-', b'T', b':', b':')
        && text[..4].iter().all(u8::is_ascii_digit)
        && text.is_ascii()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STAMP: &str = "2026-01-01T00:00:00.000000001Z";

    /// A token's text, whether it ends its line, and its timestamp; none of the kubelet's own words.
    type Emitted = (Vec<u8>, bool, Option<String>);

    fn emit(emitted: &mut Vec<Emitted>) -> impl FnMut(Token<'_>) {
        |token| {
            emitted.push(match token {
                Token::Piece(piece) => (piece.text.to_vec(), piece.last, Some(piece.stamp.to_owned())),
                Token::NotLog(words) => (words.to_vec(), true, None),
            });
        }
    }

    fn tokens(chunks: &[&[u8]]) -> Vec<Emitted> {
        let (mut splitter, mut emitted) = (Splitter::default(), Vec::new());
        for chunk in chunks {
            splitter.feed(chunk, &mut emit(&mut emitted));
        }
        splitter.finish(&mut emit(&mut emitted));
        emitted
    }

    fn texts(emitted: &[Emitted]) -> Vec<Vec<u8>> {
        let mut lines = vec![Vec::new()];
        for (text, last, stamp) in emitted {
            assert!(stamp.is_some(), "{}", String::from_utf8_lossy(text));
            lines.last_mut().unwrap().extend(text);
            if *last {
                lines.push(Vec::new());
            }
        }
        lines.pop();
        lines
    }

    #[test]
    fn line_without_a_timestamp_is_not_log_text() {
        let words = b"unable to retrieve container logs for containerd://1";
        assert_eq!(tokens(&[words]), [(words.to_vec(), true, None)]);
    }

    #[test]
    fn empty_lines_are_lines() {
        let text = format!("{STAMP} \n{STAMP} x\n{STAMP}\n");
        assert_eq!(texts(&tokens(&[text.as_bytes()])), [b"".to_vec(), b"x".to_vec(), b"".to_vec()]);
    }

    #[test]
    fn last_line_without_a_newline_waits_for_the_end() {
        let (mut splitter, mut found) = (Splitter::default(), Vec::new());
        splitter.feed(format!("{STAMP} half").as_bytes(), &mut emit(&mut found));
        assert!(found.is_empty());
        splitter.finish(&mut emit(&mut found));
        assert_eq!(texts(&found), [b"half".to_vec()]);
    }

    #[test]
    fn ten_megabyte_line_comes_in_pieces_that_cut_no_character() {
        let text = "ü".repeat(5 << 20);
        let line = format!("{STAMP} {text}\n");
        let found = tokens(&line.as_bytes().chunks(8_191).collect::<Vec<_>>());
        assert!(found.len() > 150);
        for (text, _, stamp) in &found {
            assert!(text.len() <= PIECE && std::str::from_utf8(text).is_ok() && stamp.as_deref() == Some(STAMP));
        }
        assert_eq!(texts(&found), [text.into_bytes()]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn how_the_bytes_arrive_does_not_matter(lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 0..20), sizes in prop::collection::vec(1_usize..50, 1..20)) {
            let clean: Vec<Vec<u8>> = lines.into_iter().map(|line| line.into_iter().filter(|b| *b != b'\n').collect()).collect();
            let mut bytes = Vec::new();
            for line in &clean {
                bytes.extend(format!("{STAMP} ").bytes());
                bytes.extend(line);
                bytes.push(b'\n');
            }
            let (mut chunks, mut rest, mut sizes) = (Vec::new(), bytes.as_slice(), sizes.iter().cycle());
            while !rest.is_empty() {
                let (now, later) = rest.split_at((*sizes.next().unwrap()).min(rest.len()));
                chunks.push(now);
                rest = later;
            }
            prop_assert_eq!(texts(&tokens(&chunks)), clean);
        }
    }
}
