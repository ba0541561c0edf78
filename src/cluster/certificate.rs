//! Reads a certificate: its subject, who signed it, its names, and from when until when it is valid. Pure.
//!
//! This has two purposes: to decide what webpki leaves open (the dates of a pinned certificate, whether a certificate
//! of a bundle may sign), and to say which certificate was presented. Nothing in a certificate is secret.

use std::{fmt, net::IpAddr};

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, UnixTime};
use x509_cert::{
    Version,
    der::{Decode, asn1::ObjectIdentifier},
    ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName, name::GeneralName},
    time::Time,
};

/// At most this many names of a certificate are shown.
const NAMES_TOLD: usize = 10;
/// At most this many characters of a name are shown.
const LONGEST_NAME: usize = 200;

/// The purposes of RFC 5280, section 4.2.1.12.
const SERVER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const ANYTHING: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// The parts of a certificate that matter here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    pub subject: String,
    issuer: String,
    /// DNS names and addresses. A name in the subject does not count.
    names: Vec<String>,
    pub begins: Timestamp,
    pub ends: Timestamp,
    /// Whether it may sign others: it has `CA:TRUE`, or a version that could not say so, and no usage forbids it.
    /// `CheckSignatureFrom` of Go's crypto/x509 decides in the same way.
    pub may_sign: bool,
    /// Whether it may identify a server: it has no extended usage, or that of a server, or any.
    pub for_servers: bool,
}

impl Certificate {
    /// Reads a certificate; none if it cannot be read.
    pub fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let read = x509_cert::Certificate::from_der(der).ok()?.tbs_certificate;
        let constraints = read.get::<BasicConstraints>().ok()?;
        let usage = read.get::<KeyUsage>().ok()?;
        let extended = read.get::<ExtendedKeyUsage>().ok()?;
        let names = read.get::<SubjectAltName>().ok()?;
        let for_servers = |purposes: &[ObjectIdentifier]| purposes.iter().any(|one| [SERVER, ANYTHING].contains(one));
        Some(Self {
            subject: cut(&read.subject.to_string()),
            issuer: cut(&read.issuer.to_string()),
            names: names.iter().flat_map(|(_, names)| &names.0).filter_map(name).collect(),
            begins: moment(&read.validity.not_before)?,
            ends: moment(&read.validity.not_after)?,
            may_sign: constraints.map_or(read.version != Version::V3, |(_, constraints)| constraints.ca)
                && usage.is_none_or(|(_, usage)| usage.key_cert_sign()),
            for_servers: extended.is_none_or(|(_, purposes)| for_servers(&purposes.0)),
        })
    }

    /// Whether it is valid already.
    pub fn has_begun(&self, now: UnixTime) -> bool {
        i64::try_from(now.as_secs()).is_ok_and(|now| now >= self.begins.as_second())
    }

    /// Whether it has expired.
    pub fn is_over(&self, now: UnixTime) -> bool {
        i64::try_from(now.as_secs()).is_ok_and(|now| now > self.ends.as_second())
    }

    /// Whether it is valid now.
    pub fn is_in_time(&self, now: UnixTime) -> bool {
        self.has_begun(now) && !self.is_over(now)
    }
}

impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, issuer, names, begins, ends, .. } = self;
        write!(f, "subject `{subject}`, signed by `{issuer}`, ")?;
        match names.len() {
            0 => f.write_str("for no name at all (subject alternative names)")?,
            count => write!(f, "for {}", names[..count.min(NAMES_TOLD)].join(", "))?,
        }
        if let Some(more) = names.len().checked_sub(NAMES_TOLD).filter(|more| *more > 0) {
            write!(f, " and {more} more")?;
        }
        write!(f, ", valid from {begins} to {ends}")
    }
}

fn moment(time: &Time) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(time.to_unix_duration().as_secs()).ok()?).ok()
}

fn name(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::DnsName(name) => Some(cut(name.as_str())),
        GeneralName::IpAddress(octets) => {
            let address = <[u8; 4]>::try_from(octets.as_bytes()).map(IpAddr::from);
            let address = address.or_else(|_| <[u8; 16]>::try_from(octets.as_bytes()).map(IpAddr::from));
            address.ok().map(|address| address.to_string())
        }
        _ => None,
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_NAME).collect()
}
