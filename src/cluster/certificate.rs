//! What a certificate says of itself: whose it is, who signed it, for which names, from when until when. Pure.
//!
//! Read for two purposes: to decide what webpki leaves open (the dates of a certificate that is pinned, whether one of a
//! bundle may sign), and to tell a person which certificate was presented. Nothing of it is secret.

use std::{fmt, net::IpAddr};

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, UnixTime};
use x509_cert::{
    Version,
    der::{Decode, asn1::ObjectIdentifier},
    ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName, name::GeneralName},
    time::Time,
};

/// So many names of a certificate are told.
const NAMES_TOLD: usize = 10;
/// Of a name so many characters.
const LONGEST_NAME: usize = 200;

/// The purposes of RFC 5280, section 4.2.1.12.
const SERVER: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const ANYTHING: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37.0");

/// A certificate, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Certificate {
    pub subject: String,
    issuer: String,
    /// DNS names and addresses; what stands in the subject counts for nothing.
    names: Vec<String>,
    pub begins: Timestamp,
    pub ends: Timestamp,
    /// Whether it may sign others: `CA:TRUE`, or of a version that could not say so, and no usage that forbids it.
    /// As `CheckSignatureFrom` of Go's crypto/x509 has it.
    pub may_sign: bool,
    /// Whether it may stand for a server: no extended usage at all, or that one, or any.
    pub for_servers: bool,
}

impl Certificate {
    /// None where it is no certificate that can be read.
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

    /// Whether its time has begun.
    pub fn has_begun(&self, now: UnixTime) -> bool {
        i64::try_from(now.as_secs()).is_ok_and(|now| now >= self.begins.as_second())
    }

    /// Whether its time is over.
    pub fn is_over(&self, now: UnixTime) -> bool {
        i64::try_from(now.as_secs()).is_ok_and(|now| now > self.ends.as_second())
    }

    /// Both.
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
