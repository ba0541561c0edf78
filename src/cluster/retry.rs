//! Decides which failures can pass by themselves, which requests may be sent again, and when. Pure.
//!
//! [`prospect`] is the one table for the first question. A failure that lasts until somebody changes a setting, a
//! certificate or a right is reported at once; a failure that can pass is waited for. Even then not every request may
//! be sent again. A read, a guarded patch and a delete by uid do no harm if they arrive twice. A create may do harm, so
//! it is repeated here only after the answer "not run" (429); in all other cases [`crate::submit`] reads the name
//! first.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use http::StatusCode;
use rustls::AlertDescription;

use super::{
    cause::{Cause, CauseKind, of_the_client_certificate},
    request::Failure,
};
use crate::resource::Verb;

/// Whether waiting helps against a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prospect {
    /// It can pass by itself.
    Passes,
    /// It lasts until somebody does something.
    Lasts,
}

/// Codes of the API server that mean "not now" rather than "no". 500 is one of them: failing webhooks and short
/// troubles of etcd give it.
const TRANSIENT: [u16; 5] = [429, 500, 502, 503, 504];
/// Codes of a proxy that mean the same: the proxy waits for the server, or is busy. 502 is not one of them: the proxy
/// has reached something that is no API server.
const TRANSIENT_OF_PROXY: [u16; 5] = [408, 429, 500, 503, 504];
/// How long an API server may need for its Roles once it accepts connections.
pub(super) const ROLES_READ_WITHIN: Duration = Duration::from_secs(10);

/// The table of failures.
#[must_use]
pub fn prospect(failure: &Failure) -> Prospect {
    let passes = match failure {
        Failure::Status { status, .. } => is_transient(status.code),
        Failure::Transport { cause } => passes(cause),
        // The sender of such an answer, such as a gateway, may be replaced by an API server at any moment.
        Failure::Unexpected { .. } => true,
        Failure::Unusable(_) => false,
    };
    if passes { Prospect::Passes } else { Prospect::Lasts }
}

/// The rows of the table for answers.
#[must_use]
pub(super) fn is_transient(code: u16) -> bool {
    TRANSIENT.contains(&code)
}

fn passes(cause: &Cause) -> bool {
    match cause.what() {
        CauseKind::Certificate(_) | CauseKind::NoTls(_) | CauseKind::SocksRefused(_) => false,
        CauseKind::ProxyRefused(code) => TRANSIENT_OF_PROXY.contains(&code.as_u16()),
        CauseKind::Alert(alert) => {
            let of_versions_and_names = matches!(
                alert,
                AlertDescription::HandshakeFailure
                    | AlertDescription::ProtocolVersion
                    | AlertDescription::InsufficientSecurity
                    | AlertDescription::UnrecognisedName
            );
            !of_versions_and_names && of_the_client_certificate(*alert).is_none()
        }
        // A server that is away or does not answer, and a name that cannot be resolved, may come back.
        CauseKind::Said(_)
        | CauseKind::Os(_)
        | CauseKind::Name(_)
        | CauseKind::NoAnswerWithin(_)
        | CauseKind::Silence(_)
        | CauseKind::EndedAfter(_)
        | CauseKind::EndlessList(_)
        | CauseKind::LongList(_)
        | CauseKind::Unreadable(..)
        | CauseKind::NoRolesYet(_)
        | CauseKind::NotRenewed(_)
        | CauseKind::At(..) => true,
    }
}

/// Judges a failure by the time since a connection broke. An API server that has just started answers every identity
/// with 403 until it has read its Roles, in the same words as for an identity without rights. Such a 403 can pass.
#[must_use]
pub(super) fn soon_after(broken: Option<Duration>, failure: Failure) -> Failure {
    let by_role =
        failure.code() == Some(403) && failure.message().contains("cannot ") && failure.message().contains("User \"");
    if by_role && broken.is_some_and(|ago| ago < ROLES_READ_WITHIN) {
        return Failure::transport(Cause::no_roles_yet(&failure));
    }
    failure
}

/// The first pause between two tries.
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause between two tries, before jitter.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server's `Retry-After` is obeyed up to this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30);

/// Whether the same request may be sent again after this failure.
#[must_use]
pub fn may_repeat(verb: Verb, failure: &Failure) -> bool {
    match verb {
        Verb::Create => failure.code() == Some(StatusCode::TOO_MANY_REQUESTS.as_u16()),
        Verb::Get | Verb::List | Verb::Patch | Verb::Delete => prospect(failure) == Prospect::Passes,
        // The reader of a stream resumes it, because only the reader knows the position.
        Verb::Watch | Verb::Log => false,
    }
}

/// The pause before the next try: the one that the server asks for, else that of the backoff; none if the limit is
/// reached.
#[must_use]
pub fn pause(failure: &Failure, backoff: Option<Duration>) -> Option<Duration> {
    let backoff = backoff?;
    Some(failure.retry_after().map_or(backoff, |wish| wish.min(LONGEST_RETRY_AFTER).max(backoff)))
}

/// Doubling pauses with jitter, together at most `within` if it is given, otherwise without end.
#[must_use]
pub fn backoff(seed: u64, within: Option<Duration>) -> ExponentialBackoff {
    growing(FIRST_PAUSE, LONGEST_PAUSE, seed, within)
}

/// The same, between these limits.
#[must_use]
pub fn growing(first: Duration, longest: Duration, seed: u64, within: Option<Duration>) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(first)
        .with_max_delay(longest)
        .with_jitter()
        .with_jitter_seed(seed)
        .without_max_times()
        .with_total_delay(within)
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(code: u16) -> Failure {
        Failure::status(code, "", "", None)
    }

    #[test]
    fn create_is_repeated_only_when_it_was_not_run() {
        assert!(may_repeat(Verb::Create, &answered(429)));
        for code in [409, 403, 500, 502, 503, 504] {
            assert!(!may_repeat(Verb::Create, &answered(code)), "{code}");
        }
        assert!(!may_repeat(Verb::Create, &Failure::transport("reset")));
    }

    #[test]
    fn reads_guarded_patches_and_deletes_are_repeated_where_the_failure_can_pass() {
        for verb in [Verb::Get, Verb::List, Verb::Patch, Verb::Delete] {
            for code in TRANSIENT {
                assert!(may_repeat(verb, &answered(code)), "{verb:?} {code}");
            }
            for code in [400, 401, 403, 404, 409, 410, 422] {
                assert!(!may_repeat(verb, &answered(code)), "{verb:?} {code}");
            }
            assert!(may_repeat(verb, &Failure::transport("reset")));
        }
    }

    fn of(error: impl std::error::Error + 'static) -> Failure {
        Failure::transport(Cause::of(&error))
    }

    /// A row for each kind of failure.
    #[test]
    fn what_can_pass_by_itself_and_what_cannot() {
        use std::io::{Error as Io, ErrorKind};

        use super::super::{
            secret::Address,
            transport::NameNotResolved,
            trust::CertificateRefused,
            tunnel::TunnelError::{self, Refused},
        };
        use crate::error::{Error, Report};
        use Prospect::{Lasts, Passes};
        use rustls::{AlertDescription as Alert, CertificateError, Error as Tls, OtherError, PeerIncompatible};

        let refused = CertificateRefused(Report::new("it has expired"));
        let certificate = CertificateError::Other(OtherError(std::sync::Arc::new(refused)));
        let alert = |alert| of(Tls::AlertReceived(alert));
        let proxy = |code| of(Refused(StatusCode::from_u16(code).unwrap()));
        let unreachable = TunnelError::Unreachable {
            proxy: "http://proxy:3128".parse().unwrap(),
            source: Box::new(Io::from(ErrorKind::ConnectionRefused)),
        };
        let far = Address::of(&"https://host".parse().unwrap());
        let rows = [
            ("connection refused", of(Io::from(ErrorKind::ConnectionRefused)), Passes),
            ("connection reset", of(Io::from(ErrorKind::ConnectionReset)), Passes),
            ("no route to the host", of(Io::from_raw_os_error(113)), Passes),
            ("time out", of(Io::from(ErrorKind::TimedOut)), Passes),
            ("no answer in time", Failure::transport(Cause::no_answer_within(Duration::from_secs(1))), Passes),
            ("silence of a stream", Failure::transport(Cause::silence(Duration::from_secs(1))), Passes),
            ("stream ended too soon", Failure::transport(Cause::ended_after(Duration::from_secs(1))), Passes),
            ("name not resolved", of(NameNotResolved("host".into())), Passes),
            ("no Roles read yet", Failure::transport(Cause::no_roles_yet(&answered(403))), Passes),
            (
                "credentials not renewed",
                Failure::transport(Cause::not_renewed(&Error::internal("exit code 1"))),
                Passes,
            ),
            (
                "answer of something else",
                Failure::Unexpected { instead_of: "a Job".into(), why: String::new() },
                Passes,
            ),
            ("TLS cut in the handshake", of(Io::from(ErrorKind::UnexpectedEof)), Passes),
            ("TLS alert: internal error", alert(Alert::InternalError), Passes),
            ("certificate not accepted", of(Tls::InvalidCertificate(certificate.clone())), Lasts),
            (
                "certificate not accepted, with the address",
                Failure::transport(Cause::of(&Tls::InvalidCertificate(certificate)).at(&far)),
                Lasts,
            ),
            ("certificate without its key", of(Tls::InvalidCertificate(CertificateError::BadSignature)), Lasts),
            ("no certificate at all", of(Tls::NoCertificatesPresented), Lasts),
            ("no TLS", of(Tls::InvalidMessage(rustls::InvalidMessage::InvalidContentType)), Lasts),
            ("no common version", of(Tls::PeerIncompatible(PeerIncompatible::Tls12NotOffered)), Lasts),
            ("TLS alert: versions", alert(Alert::ProtocolVersion), Lasts),
            ("TLS alert: ciphers", alert(Alert::HandshakeFailure), Lasts),
            ("TLS alert: name", alert(Alert::UnrecognisedName), Lasts),
            ("client certificate wanted", alert(Alert::CertificateRequired), Lasts),
            ("client certificate expired", alert(Alert::CertificateExpired), Lasts),
            ("client certificate revoked", alert(Alert::CertificateRevoked), Lasts),
            ("client certificate of nobody", alert(Alert::UnknownCA), Lasts),
            ("client certificate refused", alert(Alert::BadCertificate), Lasts),
            ("client certificate refused without reason", alert(Alert::CertificateUnknown), Lasts),
            ("client not let in", alert(Alert::AccessDenied), Lasts),
            ("proxy asks for credentials", proxy(407), Lasts),
            ("proxy forbids", proxy(403), Lasts),
            ("proxy reaches no API server", proxy(502), Lasts),
            ("proxy is busy", proxy(503), Passes),
            ("proxy waits in vain", proxy(504), Passes),
            ("proxy is not there", of(unreachable), Passes),
            ("plugin, file or setting", Failure::Unusable(Error::internal("exit code 1")), Lasts),
            ("throttled", answered(429), Passes),
            ("webhook or etcd fails", answered(500), Passes),
            ("gateway", answered(502), Passes),
            ("API server stops", answered(503), Passes),
            ("API server waits in vain", answered(504), Passes),
            ("bad request", answered(400), Lasts),
            ("who are you", answered(401), Lasts),
            ("no right", answered(403), Lasts),
            ("not there", answered(404), Lasts),
            ("conflict", answered(409), Lasts),
            ("version too old", answered(410), Lasts),
            ("invalid", answered(422), Lasts),
        ];
        for (what, failure, expected) in rows {
            assert_eq!(prospect(&failure), expected, "{what}: {}", failure.message());
        }
    }

    #[test]
    fn refusal_soon_after_a_broken_connection_is_no_answer() {
        let forbidden = || Failure::status(403, "Forbidden", "User \"airflow\" cannot delete resource \"jobs\"", None);
        for (broken, code) in [(None, Some(403)), (Some(0), None), (Some(9), None), (Some(10), Some(403))] {
            let broken = broken.map(Duration::from_secs);
            assert_eq!(soon_after(broken, forbidden()).code(), code, "{broken:?}");
        }
        let now = Some(Duration::ZERO);
        assert_eq!(soon_after(now, answered(409)).code(), Some(409));
        assert_eq!(soon_after(now, Failure::status(403, "Forbidden", "exceeded quota: q", None)).code(), Some(403));
    }

    #[test]
    fn retry_after_wins_over_a_shorter_backoff_but_not_over_the_limit() {
        let throttled = Failure::status(429, "", "", Some(Duration::from_secs(2)));
        assert_eq!(pause(&throttled, Some(Duration::from_millis(100))), Some(Duration::from_secs(2)));
        assert_eq!(pause(&throttled, None), None);
    }

    #[test]
    fn backoff_with_a_limit_ends() {
        let pauses: Vec<_> = backoff(7, Some(Duration::from_secs(10))).collect();
        assert!(pauses.iter().sum::<Duration>() <= Duration::from_secs(10));
        assert!(pauses.len() > 3);
    }
}
