//! Decides whether the certificate of the API server is accepted, and says why if it is not.
//!
//! Promise: a certificate is accepted if kubectl accepts it, by one of two proofs. Either an authority of the
//! kubeconfig (else of this machine) has signed it, which rustls' webpki decides. Or the certificate itself is in the
//! kubeconfig's bundle, byte by byte: then it is pinned, and its dates, its names and its purpose are checked here. In
//! both cases the server must sign the handshake with the key of the certificate. A certificate of the bundle that may
//! not sign proves no certificate but itself. A refusal says what was presented, what was expected, and which setting
//! expects it. Source: `Verify` and `CheckSignatureFrom` of Go's crypto/x509, as client-go uses it.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    CertificateError, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};

use super::{bounded_file, certificate::Certificate, settings::Settings};
use crate::error::Report;

/// The authorities that prove the API server.
#[derive(Debug)]
pub(super) enum Authorities {
    /// Certificates of the configuration.
    Bundle(Vec<CertificateDer<'static>>),
    /// A file of certificates that may change, as that of a service account does, with the certificates that were last
    /// read from it.
    File(PathBuf, Mutex<Vec<CertificateDer<'static>>>),
    /// The authorities of this machine.
    System(rustls_platform_verifier::Verifier),
    /// Nothing is verified.
    Nobody,
}

/// The verifier that rustls asks in each handshake.
#[derive(Debug)]
pub(super) struct Trust {
    pub authorities: Authorities,
    pub settings: Arc<Settings>,
    pub provider: Arc<CryptoProvider>,
}

/// A certificate that was not accepted. It travels inside a [`rustls::Error`].
#[derive(Debug)]
pub(super) struct CertificateRefused(pub Report);

impl fmt::Display for CertificateRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for CertificateRefused {}

impl Trust {
    fn verify(
        &self,
        bundle: &[CertificateDer<'_>],
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        match &self.authorities {
            Authorities::Nobody => Ok(()),
            Authorities::System(system) => system.verify_server_cert(shown, between, name, &[], now).map(|_| ()),
            Authorities::Bundle(_) | Authorities::File(..) if bundle.iter().any(|one| one == shown) => {
                pinned(shown, name, now)
            }
            Authorities::Bundle(_) | Authorities::File(..) => {
                let mut roots = RootCertStore::empty();
                let may_prove = |one: &&CertificateDer<'_>| {
                    // A certificate that cannot be read here is left to webpki.
                    Certificate::read(one).is_none_or(|one| one.may_sign && one.is_in_time(now))
                };
                roots.add_parsable_certificates(bundle.iter().filter(may_prove).cloned());
                if roots.is_empty() {
                    return Err(CertificateError::UnknownIssuer.into());
                }
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&self.provider))
                    .build()
                    .map_err(|_| rustls::Error::from(CertificateError::UnknownIssuer))?
                    .verify_server_cert(shown, between, name, &[], now)
                    .map(|_| ())
            }
        }
    }

    /// Whether nothing is verified, as the configuration wants it.
    fn anybody_may(&self) -> bool {
        matches!(self.authorities, Authorities::Nobody)
    }

    /// The bundle as it is now.
    fn bundle(&self) -> Vec<CertificateDer<'static>> {
        match &self.authorities {
            Authorities::Bundle(certificates) => certificates.clone(),
            Authorities::File(path, last) => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                // The file is read at each handshake, which is seldom. If only a part of it is written, the last
                // complete bundle counts.
                if let Some(read) = bounded_file::read(path).ok().and_then(|text| certificates(&text)) {
                    *last = read;
                }
                last.clone()
            }
            Authorities::System(_) | Authorities::Nobody => Vec::new(),
        }
    }

    fn told(
        &self,
        why: &CertificateError,
        bundle: &[CertificateDer<'_>],
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Report {
        let Settings { server, authority, name: name_setting, cluster, .. } = &*self.settings;
        let of_shown = Certificate::read(shown);
        let reason = match reason(why) {
            // webpki has no name for this.
            Reason::Other(_) if of_shown.as_ref().is_some_and(|shown| shown.may_sign) => Reason::AuthorityItself,
            reason => reason,
        };
        let mut report = Report::new(format!("The certificate of the API server {server} is not accepted: {reason}"));
        report = match of_shown {
            Some(shown) => report.seen(format!("presented: {shown}")),
            None => report.seen("presented: a certificate that cannot be read"),
        };
        let out_of_time = |one: &Certificate| !one.is_in_time(now);
        let is_dated = matches!(reason, Reason::Expired | Reason::NotYetValid);
        for of_chain in between.iter().filter_map(Certificate::read).filter(|one| is_dated && out_of_time(one)) {
            report = report.seen(format!("presented with it: {of_chain}"));
        }
        let name = match name {
            ServerName::IpAddress(address) => std::net::IpAddr::from(*address).to_string(),
            name => name.to_str().into_owned(),
        };
        report = report.seen(format!("expected: a certificate for `{name}` ({name_setting})"));
        let proving: Vec<String> = bundle.iter().take(MOST_AUTHORITIES).map(|one| described(one, now)).collect();
        let proving = match &self.authorities {
            Authorities::System(_) => "signed by an authority that this machine trusts".to_owned(),
            _ => format!("signed by, or the same as: {}", proving.join("; ")),
        };
        report.seen(format!("expected: {proving} ({authority})")).hint(match reason {
            Reason::Expired => "have the certificate of the server renewed; no setting helps against this".to_owned(),
            Reason::NotYetValid => "compare the clock of this machine with that of the server".to_owned(),
            Reason::OtherName => {
                format!("set `tls-server-name` in {cluster} to a name of the certificate, or `server` to one of them")
            }
            Reason::UnknownAuthority => {
                format!("put the certificate of the authority that signed it into {authority}")
            }
            Reason::AuthorityItself => {
                format!("put this very certificate into {authority}, if the server is the right one")
            }
            Reason::Other(_) => format!("have the certificate of the server replaced, or check {authority}"),
        })
    }
}

const MOST_AUTHORITIES: usize = 5;

fn described(authority: &CertificateDer<'_>, now: UnixTime) -> String {
    let Some(authority) = Certificate::read(authority) else { return "one that cannot be read".to_owned() };
    let why_not = match &authority {
        one if one.is_over(now) => ", which has expired",
        one if !one.has_begun(now) => ", which is not valid yet",
        one if !one.may_sign => ", which may not sign others",
        _ => "",
    };
    format!("`{}`{why_not}", authority.subject)
}

/// Reads the certificates of a text in PEM; none if there are none.
pub(super) fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Vec<_> = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect();
    (!found.is_empty()).then_some(found)
}

/// Checks a certificate that is in the bundle itself.
fn pinned(shown: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), rustls::Error> {
    let parsed = ParsedCertificate::try_from(shown)?;
    let read = Certificate::read(shown).ok_or(CertificateError::BadEncoding)?;
    if !read.has_begun(now) {
        return Err(CertificateError::NotValidYet.into());
    }
    if read.is_over(now) {
        return Err(CertificateError::Expired.into());
    }
    if !read.for_servers {
        return Err(CertificateError::InvalidPurpose.into());
    }
    verify_server_name(&parsed, name)
}

/// Why a certificate is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Expired,
    NotYetValid,
    OtherName,
    UnknownAuthority,
    AuthorityItself,
    Other(&'static str),
}

fn reason(why: &CertificateError) -> Reason {
    match why {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => Reason::Expired,
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => Reason::NotYetValid,
        CertificateError::UnknownIssuer => Reason::UnknownAuthority,
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Reason::OtherName,
        CertificateError::Revoked => Reason::Other("it is revoked"),
        CertificateError::BadSignature => Reason::Other("it has a wrong signature"),
        CertificateError::BadEncoding => Reason::Other("it cannot be read"),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Reason::Other("it is not for servers")
        }
        _ => Reason::Other("it is not valid"),
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Expired => "it has expired",
            Self::NotYetValid => "it is not valid yet",
            Self::OtherName => "it is for another name",
            Self::UnknownAuthority => "no authority that is trusted has signed it",
            Self::AuthorityItself => {
                "it is that of an authority (CA:TRUE), which is accepted only where it is expected itself"
            }
            Self::Other(words) => words,
        })
    }
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let bundle = self.bundle();
        match self.verify(&bundle, shown, between, name, now) {
            Ok(()) => Ok(ServerCertVerified::assertion()),
            Err(rustls::Error::InvalidCertificate(why)) => {
                let refused = CertificateRefused(self.told(&why, &bundle, shown, between, name, now));
                Err(CertificateError::Other(OtherError(Arc::new(refused))).into())
            }
            Err(other) => Err(other),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if self.anybody_may() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls12_signature(message, shown, signed, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        if self.anybody_may() {
            return Ok(HandshakeSignatureValid::assertion());
        }
        verify_tls13_signature(message, shown, signed, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let mut schemes = self.provider.signature_verification_algorithms.supported_schemes();
        if self.anybody_may() {
            schemes.extend([SignatureScheme::ECDSA_NISTP521_SHA512, SignatureScheme::RSA_PKCS1_SHA1]);
        }
        schemes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `tests/harness/certificates.py`: `leaf`, `other` and `forged` are for localhost, the first two signed by
    /// `authority`, the third by `leaf`; `own` is of itself, with CA:TRUE.
    fn pem(name: &str) -> CertificateDer<'static> {
        let text: &[u8] = match name {
            "authority" => include_bytes!("testdata/authority.pem"),
            "leaf" => include_bytes!("testdata/leaf.pem"),
            "other" => include_bytes!("testdata/other.pem"),
            "own" => include_bytes!("testdata/own.pem"),
            _ => include_bytes!("testdata/forged.pem"),
        };
        certificates(text).unwrap().remove(0)
    }

    fn asked(bundle: &[&str], shown: &str, name: &str, now: i64) -> Result<(), String> {
        let settings = Settings {
            server: super::super::secret::Address::of(&"https://localhost:6443".parse().unwrap()),
            cluster: "the cluster `prod` in kubeconfig `/k`".into(),
            user: "the user `joe`".into(),
            authority: "`certificate-authority-data` of the cluster `prod`".into(),
            name: "the host of `server`".into(),
            proxy: String::new(),
            client_certificate: None,
        };
        let provider = Arc::clone(rustls::ClientConfig::builder().crypto_provider());
        let authorities = Authorities::Bundle(bundle.iter().map(|name| pem(name)).collect());
        let trust = Trust { authorities, settings: Arc::new(settings), provider };
        let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(now).unwrap()));
        let between = [pem("leaf")];
        let name = ServerName::try_from(name.to_owned()).unwrap();
        match trust.verify_server_cert(&pem(shown), &between, &name, &[], now) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(other))) => {
                Err(other.0.downcast_ref::<CertificateRefused>().unwrap().0.to_string())
            }
            Err(other) => Err(other.to_string()),
        }
    }

    #[test]
    fn certificate_is_accepted_by_its_authority_or_for_itself_and_always_by_name_and_date() {
        let leaf = Certificate::read(&pem("leaf")).unwrap();
        let (now, before, after) =
            (leaf.ends.as_second() - 60, leaf.begins.as_second() - 60, leaf.ends.as_second() + 60);
        let (authority, own, pinned) = (&["authority"][..], &["own"][..], &["leaf"][..]);
        for (bundle, shown, name, at, words) in [
            (authority, "leaf", "localhost", now, None),
            (authority, "leaf", "127.0.0.1", now, None),
            (pinned, "leaf", "localhost", now, None),
            (own, "own", "localhost", now, None),
            (&["authority", "own"], "own", "localhost", now, None),
            (authority, "leaf", "elsewhere", now, Some("it is for another name")),
            (pinned, "leaf", "elsewhere", now, Some("it is for another name")),
            (own, "own", "elsewhere", now, Some("it is for another name")),
            (authority, "leaf", "localhost", before, Some("no authority")),
            (pinned, "leaf", "localhost", before, Some("it is not valid yet")),
            (own, "own", "localhost", before, Some("it is not valid yet")),
            (authority, "leaf", "localhost", after, Some("`CN=test authority`, which has expired")),
            (pinned, "leaf", "localhost", after, Some("it has expired")),
            (own, "own", "localhost", after, Some("it has expired")),
            (pinned, "other", "localhost", now, Some("which may not sign others")),
            (pinned, "forged", "localhost", now, Some("which may not sign others")),
            (authority, "forged", "localhost", now, Some("not accepted")),
            (authority, "own", "localhost", now, Some("(CA:TRUE), which is accepted only where")),
        ] {
            let said = asked(bundle, shown, name, at).err();
            match words {
                None => assert_eq!(said, None, "{bundle:?} {shown} {name}"),
                Some(words) => {
                    let said = said.unwrap_or_default();
                    assert!(said.contains(words), "{bundle:?} {shown} {name}: {said}");
                    assert!(said.contains("presented: subject") && said.contains("of the cluster `prod`"), "{said}");
                }
            }
        }
    }

    #[test]
    fn only_an_authority_may_sign() {
        let may_sign = |name| Certificate::read(&pem(name)).unwrap().may_sign;
        assert!(may_sign("authority") && may_sign("own"));
        assert!(!may_sign("leaf") && !may_sign("forged"));
    }
}
