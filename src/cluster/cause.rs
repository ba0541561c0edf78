//! Says in our own sentences why a request has no whole answer.
//!
//! The errors of the libraries below us quote their input: URLs with passwords, tokens, whole command lines. So none of
//! their texts is passed on. [`Cause::of`] finds out what happened by the types in an error's chain, and words it
//! itself. No `Cause` can be made from a text that was composed elsewhere.

use std::{error::Error as StdError, fmt, io, time::Duration};

use http::StatusCode;
use http_body_util::LengthLimitError;
use rustls::{AlertDescription, CertificateError};
use tokio_util::codec::LinesCodecError;

use super::{
    request::Failure, secret::Address, transport::NameNotResolved, trust::CertificateRefused, tunnel::TunnelError,
};
use crate::{
    error::{Error, Report},
    unreadable::Unreadable,
};

/// The reason why there is no whole answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Cause(CauseKind);

/// What happened. The table in [`super::retry`] says whether it can pass by itself.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum CauseKind {
    Said(&'static str),
    /// An error code of the operating system, which has the text for it.
    Os(i32),
    Name(String),
    /// The certificate of the server, which is not accepted.
    Certificate(Box<Report>),
    /// The alert with which the server ended the handshake.
    Alert(AlertDescription),
    /// The two sides agree on no TLS, whatever certificates they show.
    NoTls(&'static str),
    /// An HTTP proxy answered with this code.
    ProxyRefused(StatusCode),
    /// A SOCKS proxy refuses the connection.
    SocksRefused(&'static str),
    NoAnswerWithin(Duration),
    Silence(Duration),
    EndedAfter(Duration),
    EndlessList(usize),
    LongList(Duration),
    Unreadable(&'static str, Unreadable),
    /// The API server refuses everybody, in these words of its own; see [`super::recovery`].
    NoRolesYet(String),
    /// Credentials were not renewed, for the reason in this report.
    NotRenewed(Box<Report>),
    At(Address, Box<Cause>),
}

/// Makes a cause of a sentence that stands in our own source.
impl From<&'static str> for Cause {
    fn from(sentence: &'static str) -> Self {
        Self(CauseKind::Said(sentence))
    }
}

impl Cause {
    /// The most exact cause that an error and its chain show.
    #[must_use]
    pub fn of(error: &(dyn StdError + 'static)) -> Self {
        let mut exact = None;
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref() {
                return Self(tunnel(error));
            }
            match known(error) {
                Some(last @ (CauseKind::Name(_) | CauseKind::NoAnswerWithin(_))) => return Self(last),
                Some(what) => exact = Some(what),
                None => {}
            }
            let inside = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            next = inside.map(|inside| inside as &(dyn StdError + 'static)).or_else(|| error.source());
        }
        Self(exact.unwrap_or(CauseKind::Said("the connection failed, for a reason that is not known")))
    }

    /// The cause if the whole answer was not there in time.
    #[must_use]
    pub fn no_answer_within(limit: Duration) -> Self {
        Self(CauseKind::NoAnswerWithin(limit))
    }

    /// The cause if an open stream brought nothing for this long.
    #[must_use]
    pub fn silence(limit: Duration) -> Self {
        Self(CauseKind::Silence(limit))
    }

    /// The cause if a stream was ended, cleanly and too soon.
    #[must_use]
    pub fn ended_after(age: Duration) -> Self {
        Self(CauseKind::EndedAfter(age))
    }

    /// The cause if a list has more pages than any real list.
    #[must_use]
    pub fn endless_list(pages: usize) -> Self {
        Self(CauseKind::EndlessList(pages))
    }

    /// The pages of a list have taken longer than any list may.
    #[must_use]
    pub fn long_list(limit: Duration) -> Self {
        Self(CauseKind::LongList(limit))
    }

    /// The cause if the answer is not what was asked for: `what` says which part.
    #[must_use]
    pub fn unreadable(what: &'static str, error: &serde_json::Error) -> Self {
        Self(CauseKind::Unreadable(what, Unreadable::json(error)))
    }

    /// The cause if the API server refuses everybody, because it has just started.
    #[must_use]
    pub(super) fn no_roles_yet(refusal: &Failure) -> Self {
        Self(CauseKind::NoRolesYet(refusal.message()))
    }

    /// The cause if expired credentials could not be renewed.
    #[must_use]
    pub(super) fn not_renewed(error: &Error) -> Self {
        Self(CauseKind::NotRenewed(Box::new(error.report().clone())))
    }

    /// The same cause, with the address at which it happened.
    #[must_use]
    pub(super) fn at(self, address: &Address) -> Self {
        Self(CauseKind::At(address.clone(), Box::new(self)))
    }

    /// The words without the address.
    #[must_use]
    pub(super) fn what(&self) -> &CauseKind {
        match &self.0 {
            CauseKind::At(_, cause) => cause.what(),
            what => what,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            CauseKind::Said(sentence) | CauseKind::NoTls(sentence) | CauseKind::SocksRefused(sentence) => {
                f.write_str(sentence)
            }
            CauseKind::ProxyRefused(code) if *code == StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
                f.write_str("the proxy asks for credentials (HTTP 407)")
            }
            CauseKind::ProxyRefused(code) => {
                write!(f, "the proxy refused to connect to the server (HTTP {})", code.as_u16())
            }
            CauseKind::Os(code) => {
                let text = io::Error::from_raw_os_error(*code).to_string();
                f.write_str(text.split(" (os error").next().unwrap_or_default())
            }
            CauseKind::Name(host) => write!(f, "the name `{host}` cannot be resolved"),
            CauseKind::Alert(alert) => match of_the_client_certificate(*alert) {
                Some(_) => write!(f, "the server does not accept the client certificate ({alert:?})"),
                None => write!(f, "the server ended the TLS handshake ({alert:?})"),
            },
            CauseKind::NoAnswerWithin(limit) => write!(f, "no whole answer within {} s", limit.as_secs()),
            CauseKind::Silence(limit) => write!(f, "silence for {} s", limit.as_secs()),
            CauseKind::EndedAfter(age) => write!(f, "it was ended after {:.1} s", age.as_secs_f32()),
            CauseKind::EndlessList(pages) => write!(f, "a list without an end: it has more than {pages} pages"),
            CauseKind::LongList(limit) => {
                write!(f, "a list without an end: its pages have taken {} s", limit.as_secs())
            }
            CauseKind::Unreadable(what, why) => write!(f, "{what}: {why}"),
            CauseKind::NoRolesYet(message) => {
                write!(f, "it has just started and knows no Roles yet, as it seems: {message}")
            }
            CauseKind::NotRenewed(report) | CauseKind::Certificate(report) => {
                f.write_str(&report.message)?;
                report.seen.iter().try_for_each(|evidence| write!(f, "; {evidence}"))
            }
            CauseKind::At(address, cause) => write!(f, "{address}: {cause}"),
        }
    }
}

/// Why a client certificate is not accepted, if the alert is about one. Source: RFC 8446, section 6.2.
pub(super) fn of_the_client_certificate(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => "it wants one, and none was shown",
        AlertDescription::BadCertificate => "it cannot be read, or its signature is wrong",
        AlertDescription::UnsupportedCertificate => "it is of a kind that the server does not take",
        AlertDescription::CertificateExpired => "it has expired, or is not valid yet",
        AlertDescription::CertificateRevoked => "it is revoked",
        AlertDescription::CertificateUnknown => "the server does not say why",
        AlertDescription::UnknownCA => "the server does not trust the authority that signed it",
        AlertDescription::AccessDenied => "its holder is not let in",
        _ => return None,
    })
}

/// This lets a `Cause` travel inside an [`io::Error`].
impl StdError for Cause {}

fn known(error: &(dyn StdError + 'static)) -> Option<CauseKind> {
    if let Some(Cause(what)) = error.downcast_ref() {
        return Some(what.clone());
    }
    if let Some(NameNotResolved(host)) = error.downcast_ref() {
        return Some(CauseKind::Name(host.clone()));
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(tls(error));
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return io(error);
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return http(error).map(CauseKind::Said);
    }
    if error.is::<tower::timeout::error::Elapsed>() {
        return Some(CauseKind::NoAnswerWithin(super::transport::HEADER_TIMEOUT));
    }
    if error.is::<LengthLimitError>() {
        return Some(CauseKind::Said("the answer is larger than 64 MiB"));
    }
    if let Some(LinesCodecError::MaxLineLengthExceeded) = error.downcast_ref() {
        return Some(CauseKind::Said("a line of the answer is longer than 16 MiB"));
    }
    socks(&error.to_string())
}

fn io(error: &io::Error) -> Option<CauseKind> {
    if let Some(code) = error.raw_os_error() {
        return Some(CauseKind::Os(code));
    }
    Some(CauseKind::Said(match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused",
        io::ErrorKind::ConnectionReset => "connection reset",
        io::ErrorKind::ConnectionAborted => "connection aborted",
        io::ErrorKind::NotConnected | io::ErrorKind::BrokenPipe => "the connection was lost",
        io::ErrorKind::TimedOut => "the connection timed out",
        io::ErrorKind::UnexpectedEof => "the connection was closed in the middle",
        _ => return None,
    }))
}

fn http(error: &hyper::Error) -> Option<&'static str> {
    Some(if error.is_parse() {
        "the answer is not HTTP, or its headers are too large"
    } else if error.is_incomplete_message() {
        "the connection was closed before the answer was complete"
    } else if error.is_timeout() {
        "the connection timed out"
    } else if error.is_closed() || error.is_canceled() {
        "the connection was closed"
    } else {
        return None;
    })
}

fn tunnel(error: &TunnelError) -> CauseKind {
    match error {
        TunnelError::Unreachable { proxy, source } => {
            CauseKind::At(Address::of(proxy), Box::new(Cause::of(source.as_ref())))
        }
        TunnelError::Refused(code) => CauseKind::ProxyRefused(*code),
        TunnelError::NoAnswer(error) if error.is_parse() => CauseKind::Said("the proxy's answer is not one of a proxy"),
        TunnelError::NoAnswer(_) => CauseKind::Said("the proxy closed the connection"),
        TunnelError::NoTarget => CauseKind::Said("the proxy gave no connection"),
    }
}

/// Recognizes errors of SOCKS by their text: they have no public type, but a fixed set of texts.
fn socks(text: &str) -> Option<CauseKind> {
    let said = text.strip_prefix("SOCKS error: ")?;
    Some(match said {
        "credentials not accepted" => CauseKind::SocksRefused("the SOCKS proxy does not accept the credentials"),
        "server does not support user/pass authentication" | "server implements authentication incorrectly" => {
            CauseKind::SocksRefused("the SOCKS proxy wants another kind of credentials")
        }
        "connection not allowed" => {
            CauseKind::SocksRefused("the SOCKS proxy does not allow the connection to the server")
        }
        _ => CauseKind::Said("the SOCKS proxy did not connect to the server"),
    })
}

fn tls(error: &rustls::Error) -> CauseKind {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::Other(other)) => {
            match other.0.downcast_ref::<CertificateRefused>() {
                Some(CertificateRefused(report)) => CauseKind::Certificate(Box::new(report.clone())),
                None => CauseKind::NoTls("the server's certificate is not valid"),
            }
        }
        // The verifier itself explains each certificate that it refuses, so this is about a signature in the handshake.
        rustls::Error::InvalidCertificate(_) => {
            CauseKind::NoTls("the server has not the key of the certificate that it shows")
        }
        rustls::Error::NoCertificatesPresented => CauseKind::NoTls("the server shows no certificate"),
        rustls::Error::AlertReceived(alert) => CauseKind::Alert(*alert),
        rustls::Error::InvalidMessage(_) => CauseKind::NoTls("the server does not speak TLS"),
        rustls::Error::PeerIncompatible(_) => {
            CauseKind::NoTls("the server speaks no version of TLS that is safe (1.2, 1.3)")
        }
        _ => CauseKind::Said("the TLS handshake failed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(Box<dyn StdError>);

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("https://user:hunter2@host failed")
        }
    }

    impl StdError for Outer {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            Some(&*self.0)
        }
    }

    fn said(error: impl StdError + 'static) -> String {
        Cause::of(&Outer(Box::new(error))).to_string()
    }

    #[test]
    fn causes_are_told_by_their_type_and_in_our_words() {
        for (error, sentence) in [
            (io::Error::from_raw_os_error(24), "Too many open files"),
            (io::ErrorKind::ConnectionRefused.into(), "connection refused"),
            (io::Error::new(io::ErrorKind::UnexpectedEof, "hunter2"), "the connection was closed in the middle"),
            (
                io::Error::other(rustls::Error::InvalidCertificate(CertificateError::BadSignature)),
                "the server has not the key of the certificate that it shows",
            ),
            (
                io::Error::other(TunnelError::Unreachable {
                    proxy: "http://joe:hunter2@proxy:3128".parse().unwrap(),
                    source: Box::new(io::Error::from(io::ErrorKind::ConnectionRefused)),
                }),
                "http://proxy:3128: connection refused",
            ),
            (
                io::Error::other(TunnelError::Refused(StatusCode::FORBIDDEN)),
                "the proxy refused to connect to the server (HTTP 403)",
            ),
            (
                io::Error::other(rustls::Error::AlertReceived(AlertDescription::UnknownCA)),
                "the server does not accept the client certificate (UnknownCA)",
            ),
            (io::Error::other(rustls::Error::General("hunter2".into())), "the TLS handshake failed"),
            (io::Error::other(NameNotResolved("host".into())), "the name `host` cannot be resolved"),
            (io::Error::other("hunter2"), "the connection failed, for a reason that is not known"),
        ] {
            assert_eq!(said(error), sentence);
        }
    }
}
