//! Digests what a Job was made from into one value: a retry takes over only a Job that it would make itself.

use std::fmt;

use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// The SHA-256 of the canonical JSON of the manifest and the arguments, as the user gave them and before our edits.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ManifestDigest(String);

impl ManifestDigest {
    /// Digests what the user gave. The order of keys does not matter.
    #[must_use]
    pub fn of(manifest: Option<&Value>, arguments: &impl Serialize) -> Self {
        // serde_json keeps the keys of an object sorted.
        let canonical = json!({"manifest": manifest, "arguments": arguments}).to_string();
        Self(HEXLOWER.encode(&Sha256::digest(canonical.as_bytes())))
    }

    pub(crate) fn read(annotation: &str) -> Self {
        Self(annotation.to_owned())
    }
}

impl fmt::Display for ManifestDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> ManifestDigest {
        ManifestDigest::of(Some(&serde_json::from_str(text).unwrap()), &json!({}))
    }

    #[test]
    fn order_of_keys_does_not_matter_and_values_do() {
        assert_eq!(of(r#"{"a": 1, "b": {"c": 2, "d": 3}}"#), of(r#"{"b": {"d": 3, "c": 2}, "a": 1}"#));
        assert_ne!(of(r#"{"a": 1}"#), of(r#"{"a": "1"}"#));
        assert_ne!(of(r#"{"a": [1, 2]}"#), of(r#"{"a": [2, 1]}"#));
    }
}
