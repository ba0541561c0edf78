//! Reads from a connection in large pieces, below TLS: rustls alone asks the system for 4 KiB at a time, and each of
//! those reads also sends an acknowledgement.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{TryFutureExt, future::MapOk};
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tokio::io::BufReader;
use tower::Service;

/// Bytes of each connection that are read at once. One that is idle holds as much memory.
const AT_ONCE: usize = 32 << 10;

/// Makes the connections of another connector, and reads them ahead.
#[derive(Clone, Debug)]
pub(super) struct ReadAhead<C>(pub C);

/// A connection that is read ahead. What is written goes through as it comes.
#[derive(Debug)]
pub(super) struct Ahead<S>(TokioIo<BufReader<TokioIo<S>>>);

impl<S: Read> Ahead<S> {
    fn of(stream: S) -> Self {
        Self(TokioIo::new(BufReader::with_capacity(AT_ONCE, TokioIo::new(stream))))
    }
}

impl<C> Service<Uri> for ReadAhead<C>
where
    C: Service<Uri>,
    C::Response: Connection + Read + Write + Unpin,
{
    type Response = Ahead<C::Response>;
    type Error = C::Error;
    type Future = MapOk<C::Future, fn(C::Response) -> Self::Response>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        self.0.call(to).map_ok(Ahead::of)
    }
}

impl<S: Read + Write + Unpin> Read for Ahead<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, into)
    }
}

impl<S: Read + Write + Unpin> Write for Ahead<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, bytes)
    }
}

impl<S: Connection + Read> Connection for Ahead<S> {
    fn connected(&self) -> Connected {
        self.0.inner().get_ref().inner().connected()
    }
}
