//! The default id of an Airflow deployment: what keeps staging from taking over production's Jobs.

use super::digest::Digest;

/// 80 bits.
const LETTERS: usize = 16;

/// A digest of the deployment's URLs, keyed by its first fernet key, which it does not reveal: all its workers
/// compute the same, and another deployment, with another key, never does.
#[must_use]
pub fn deployment_digest(key: &str, base_url: &str, execution_api_url: &str) -> String {
    // Keyed twice, inside and outside, so that it cannot be extended: the construction of an HMAC.
    let inner = Digest::of("deployment", &[key, base_url, execution_api_url]).hex();
    Digest::of("deployment key", &[key, &inner]).base32(LETTERS)
}
