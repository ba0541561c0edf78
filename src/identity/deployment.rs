//! Makes the default id of an Airflow deployment, which keeps staging from taking over production's Jobs.

use super::digest::Digest;

/// The letters of the id: 80 bits.
const LETTERS: usize = 16;

/// The digest of the deployment's URLs, keyed by its first fernet key, which the digest does not reveal. All workers of
/// the deployment compute the same digest, and another deployment, with another key, never does.
#[must_use]
pub fn deployment_digest(key: &str, base_url: &str, execution_api_url: &str) -> String {
    // The key is used twice, inside and outside, so that the digest cannot be extended: this is the construction of an
    // HMAC.
    let inner = Digest::of("deployment", &[key, base_url, execution_api_url]).hex();
    Digest::of("deployment key", &[key, &inner]).base32(LETTERS)
}
