//! Digests a list of fields, in one way for every purpose.

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use sha2::{Digest as _, Sha256};

/// The version that enters every digest. It grows when the meaning of the fields changes.
pub(super) const VERSION: u8 = 1;

/// SHA-256 over a purpose, the version, and fields that each carry their length.
pub(super) struct Digest([u8; 32]);

impl Digest {
    pub fn of(purpose: &str, fields: &[&str]) -> Self {
        let mut hash = Sha256::new();
        for field in std::iter::once(&purpose).chain(fields) {
            hash.update((field.len() as u64).to_be_bytes());
            hash.update(field.as_bytes());
        }
        hash.update([VERSION]);
        Self(hash.finalize().into())
    }

    /// The digest with all its 256 bits.
    pub fn hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    /// The first 60 bits, which are the first twelve letters of [`Self::base32`].
    #[cfg(test)]
    pub fn sixty_bits(&self) -> u64 {
        u64::from_be_bytes(std::array::from_fn(|byte| self.0[byte])) >> 4
    }

    /// The first 5 bits a letter: `a` to `z` and `2` to `7`.
    pub fn base32(&self, letters: usize) -> String {
        let mut text = BASE32_NOPAD.encode(&self.0);
        text.truncate(letters);
        text.make_ascii_lowercase();
        text
    }
}
