//! Keeps text that nobody may read by accident, and addresses without their secret parts.
//!
//! A [`Secret`] is masked in every `Debug` and `Display` from the moment it is read. Code that needs the text calls
//! `expose`, which is easy to search for. An [`Address`] does not have the userinfo and the query of the URL that it
//! was made from.

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use http::Uri;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

/// A secret text. Its memory is overwritten when it is dropped.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// Makes a secret of a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(SecretString::from(text))
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl Hash for Secret {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.expose().hash(state);
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// A URL without userinfo, query and fragment, which may be stored and printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address(Uri);

impl Address {
    /// Makes an address of a URL, without the parts that may be secret.
    #[must_use]
    pub fn of(url: &Uri) -> Self {
        let mut builder = Uri::builder().path_and_query(url.path());
        if let Some(scheme) = url.scheme() {
            builder = builder.scheme(scheme.clone());
        }
        if let Some(authority) = url.authority() {
            let host = authority.as_str().rsplit('@').next().unwrap_or_default();
            builder = builder.authority(host);
        }
        // Parts of a URL make a URL, except for a host without a scheme, as in `CONNECT`.
        Self(builder.build().unwrap_or_default())
    }

    /// The address as a URL to connect to.
    #[must_use]
    pub fn url(&self) -> &Uri {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // People write `https://host` and not `https://host/`.
        f.write_str(self.0.to_string().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_masked_wherever_it_is_written() {
        let secret = Secret::new("hunter2".into());
        assert_eq!(format!("{secret} {secret:?} {:#?}", Some(&secret)), "*** *** Some(\n    ***,\n)");
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn address_has_neither_userinfo_nor_query() {
        for (url, shown) in [
            ("https://user:hunter2@host:6443/a/b?token=hunter2", "https://host:6443/a/b"),
            ("https://hunter2@host", "https://host"),
            ("https://10.0.0.1:6443/", "https://10.0.0.1:6443"),
            ("https://[::1]:6443/?hunter2", "https://[::1]:6443"),
        ] {
            let address = Address::of(&url.parse().unwrap());
            assert_eq!(address.to_string(), shown, "{url}");
            assert!(!format!("{address:?} {}", address.url()).contains("hunter2"), "{url}");
        }
    }
}
