//! Takes the bytes of a stream together while they come fast: a server flushes each line of a log by itself, and each
//! would wake every task between the socket and Python.
//!
//! Promise: bytes that come slowly are given at once. Bytes that come fast are given about a hundred times a second, or
//! [`ENOUGH`] at once. Nothing is held back at the end of the stream. During a pause the kernel's socket buffer collects
//! the bytes. A stream that always has more is read without a pause.

use std::{io, pin::Pin, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt};
use tokio::time::{Instant, sleep, timeout};

/// Bytes that arrive within this time after others count as fast. The gatherer then pauses this long before it reads on.
const GATHER: Duration = Duration::from_millis(10);
/// A read of fewer than [`FEW`] bytes in this time shows that the socket was empty.
const MOMENT: Duration = Duration::from_millis(1);
const FEW: usize = 4 << 10;
/// This many bytes are given without waiting for more.
const ENOUGH: usize = 64 << 10;

/// Gathers from one stream.
#[derive(Debug)]
pub(super) struct Gatherer {
    /// Silence after which the stream is given up.
    silence: Duration,
    pace: LogPace,
}

/// How bytes came last.
#[derive(Debug)]
enum LogPace {
    /// Once, at this time.
    Slow(Option<Instant>),
    /// All that there was.
    Drained,
    /// More than was taken.
    Flowing,
}

/// How a stream ends.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BodyEnd {
    /// As the server ends it.
    Clean,
    /// By an error.
    Broken,
    /// Nothing came for long.
    Silent,
}

impl Gatherer {
    /// One that has read nothing yet.
    pub fn new(silence: Duration) -> Self {
        Self { silence, pace: LogPace::Slow(None) }
    }

    /// Gives the next bytes, in pieces as they came; then the end, if the stream has ended. `give` returns whether the bytes
    /// hold new lines: replayed lines do not count as fast.
    pub async fn next(
        &mut self,
        mut stream: Pin<&mut impl Stream<Item = io::Result<Bytes>>>,
        mut give: impl FnMut(&[u8]) -> bool,
    ) -> Option<BodyEnd> {
        match self.pace {
            LogPace::Slow(before) => {
                let Ok(first) = timeout(self.silence, stream.next()).await else { return Some(BodyEnd::Silent) };
                let (mut piece, mut bytes, mut news) = (Some(first), 0, false);
                while let Some(now) = piece {
                    match given(now, &mut give) {
                        Ok((more, of_use)) => (bytes, news) = (bytes + more, news | of_use),
                        Err(end) => return Some(end),
                    }
                    piece = if bytes < ENOUGH { stream.next().now_or_never() } else { None };
                }
                let now = Instant::now();
                self.pace = match before {
                    _ if bytes >= ENOUGH => LogPace::Flowing,
                    Some(before) if news && now < before + GATHER => LogPace::Drained,
                    _ => LogPace::Slow(news.then_some(now)),
                };
                return None;
            }
            LogPace::Drained => sleep(GATHER).await,
            LogPace::Flowing => {}
        }
        let (mut bytes, mut before) = (0, 0);
        let mut moment = std::pin::pin!(sleep(MOMENT));
        while bytes < ENOUGH {
            tokio::select! {
                biased;
                piece = stream.next() => match given(piece, &mut give) {
                    Ok((more, _)) => bytes += more,
                    Err(end) => return Some(end),
                },
                () = &mut moment => {
                    if bytes < before + FEW {
                        self.pace = if bytes > 0 { LogPace::Drained } else { LogPace::Slow(None) };
                        return None;
                    }
                    before = bytes;
                    moment.as_mut().reset(Instant::now() + MOMENT);
                }
            }
        }
        self.pace = LogPace::Flowing;
        None
    }
}

fn given(piece: Option<io::Result<Bytes>>, give: &mut impl FnMut(&[u8]) -> bool) -> Result<(usize, bool), BodyEnd> {
    match piece {
        Some(Ok(piece)) => Ok((piece.len(), give(&piece))),
        Some(Err(_)) => Err(BodyEnd::Broken),
        None => Err(BodyEnd::Clean),
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::channel::mpsc;
    use proptest::prelude::*;

    use super::*;

    /// The longest that a byte may wait, where few come: the timer counts whole milliseconds, and may be one late.
    const LONGEST: Duration = Duration::from_millis(15);

    /// A byte, when it was sent and when it was given, and which bytes came with it.
    #[derive(Debug, PartialEq)]
    struct Given {
        byte: u8,
        waited: Duration,
        round: usize,
    }

    /// What a server sends, a byte after each of these pauses in milliseconds, and how that ends.
    async fn read(pauses: &[u64], end: BodyEnd) -> (Vec<Given>, BodyEnd) {
        let (server, mut stream) = mpsc::unbounded();
        let mut sent = Vec::new();
        let mut at = Instant::now();
        for pause in pauses {
            at += Duration::from_millis(*pause);
            sent.push(at);
        }
        let times = sent.clone();
        tokio::spawn(async move {
            for (byte, at) in (0..=u8::MAX).cycle().zip(times) {
                tokio::time::sleep_until(at).await;
                server.unbounded_send(Ok(Bytes::from(vec![byte]))).unwrap();
            }
            match end {
                BodyEnd::Clean => {}
                BodyEnd::Broken => server.unbounded_send(Err(io::ErrorKind::ConnectionReset.into())).unwrap(),
                BodyEnd::Silent => drop((futures::future::pending::<()>().await, server)),
            }
        });
        let (mut gatherer, mut all) = (Gatherer::new(Duration::from_secs(60)), Vec::new());
        for round in 0.. {
            let mut bytes = Vec::new();
            let keep = |more: &[u8]| {
                bytes.extend_from_slice(more);
                true
            };
            let end = gatherer.next(Pin::new(&mut stream), keep).await;
            for byte in bytes {
                let sent = sent[all.len()];
                all.push(Given { byte, waited: sent.elapsed(), round });
            }
            if let Some(end) = end {
                return (all, end);
            }
        }
        unreachable!()
    }

    #[tokio::test(start_paused = true)]
    async fn slow_bytes_are_given_at_once() {
        let (given, end) = read(&[0, 10, 20, 50, 1_000, 1, 59_000, 10], BodyEnd::Clean).await;
        assert_eq!((given.len(), end), (8, BodyEnd::Clean));
        assert!(given.iter().all(|byte| byte.waited.is_zero()), "{given:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_come_fast_are_given_together_a_hundred_times_a_second() {
        let (given, _) = read(&[1; 1_000], BodyEnd::Clean).await;
        let rounds = given.iter().map(|byte| byte.round).collect::<std::collections::BTreeSet<_>>().len();
        assert!((60..=100).contains(&rounds), "{rounds}");
        assert!(given[0].waited.is_zero());
    }

    #[tokio::test(start_paused = true)]
    async fn stream_that_has_much_is_read_without_a_pause() {
        let pieces = futures::stream::repeat_with(|| Ok(Bytes::from_static(&[0; 1_000]))).take(10_000);
        let (mut pieces, mut gatherer) = (pin!(pieces), Gatherer::new(Duration::from_secs(60)));
        let (begin, mut bytes) = (Instant::now(), 0);
        let mut count = |more: &[u8]| {
            bytes += more.len();
            true
        };
        while gatherer.next(pieces.as_mut(), &mut count).await.is_none() {}
        assert_eq!(bytes, 10_000_000);
        assert!(begin.elapsed() <= LONGEST, "{:?}", begin.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_told_also_after_bytes_that_came_fast() {
        let begin = Instant::now();
        let (given, end) = read(&[0, 0, 1, 0], BodyEnd::Silent).await;
        assert_eq!((given.len(), end), (4, BodyEnd::Silent));
        assert!((60_000..60_100).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
    }

    proptest! {
        #[test]
        fn however_bytes_come_each_is_given_once_in_order_and_in_time(
            pauses in prop::collection::vec(prop_oneof![3 => 0_u64..3, 1 => 0_u64..60], 0..300),
            broken in any::<bool>(),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let end = || if broken { BodyEnd::Broken } else { BodyEnd::Clean };
            let (given, ended) = runtime.block_on(read(&pauses, end()));
            prop_assert_eq!(ended, end());
            prop_assert_eq!(given.len(), pauses.len());
            for ((byte, pause), number) in given.iter().zip(&pauses).zip((0..=u8::MAX).cycle()) {
                prop_assert_eq!(byte.byte, number);
                let most = if u128::from(*pause) > 2 * LONGEST.as_millis() { Duration::ZERO } else { LONGEST };
                prop_assert!(byte.waited <= most, "{:?} after {} ms", byte, pause);
            }
        }
    }
}
