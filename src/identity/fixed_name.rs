//! Checks a whole Job name that a user gives, for users who migrate and still need one. Pure.
//!
//! The name becomes the value of a label on the Pods and the beginning of their hostnames, so Kubernetes accepts DNS
//! labels of at most 63 characters; the hostname of an Indexed Job's Pod is `<name>-<index>` and obeys the same limit.
//! Sources: <https://kubernetes.io/docs/concepts/workloads/controllers/job/#writing-a-job-spec>, and `ValidateJob` in
//! kubernetes `pkg/apis/batch/validation`.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use super::object_names::Rule;
use crate::error::{Error, Report};

/// The longest DNS label (RFC 1123).
const LONGEST: usize = 63;
/// The longest name that fits into a label with any index: `-` and the ten digits of the largest `completions`.
const FITS_ALWAYS: usize = 52;

/// A name as the user gave it: a DNS label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FixedName(String);

impl FromStr for FixedName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let name = Self(text.to_owned());
        match Rule::Label.fault(text) {
            None => Ok(name),
            Some(_) if text.len() > LONGEST => {
                let seen = format!("it has {} characters", text.chars().count());
                Err(name.refused(&seen, &format!("give a name of at most {LONGEST} characters")))
            }
            Some(fault) => Err(name.refused(&format!("it is no DNS label: it {fault}"), Rule::Label.words())),
        }
    }
}

impl<'de> Deserialize<'de> for FixedName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl FixedName {
    pub(super) fn into_text(self) -> String {
        self.0
    }

    /// Fails if an Indexed Job of this many completions cannot have this name.
    pub fn check_indexed(&self, completions: u64) -> Result<(), Error> {
        let Some(last) = completions.checked_sub(1) else { return Ok(()) };
        let suffix = format!("-{last}");
        let longest = LONGEST.saturating_sub(suffix.len());
        if self.0.len() <= longest {
            return Ok(());
        }
        let seen = format!("the last Pod of an Indexed Job of {completions} completions would be `{}{suffix}`", self.0);
        let rule = format!("give a name of at most {longest} characters; {FITS_ALWAYS} are enough for any Indexed Job");
        Err(self.refused(&seen, &rule))
    }

    fn refused(&self, seen: &str, rule: &str) -> Error {
        let report = Report::new(format!("The fixed name `{}` cannot be the name of this Job", self.0.escape_debug()));
        Error::InvalidManifest(Box::new(report.seen(seen).hint(rule).fact("path", "name")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Result<FixedName, Error> {
        name.parse()
    }

    #[test]
    fn dns_labels_of_63_characters_are_names_and_nothing_else_is() {
        for good in ["a", "0", "nightly-report", "a--b", &"x".repeat(63)] {
            named(good).unwrap();
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a_b", "a b", "größe", " a", "a\n", "{{ ds }}", &"x".repeat(64)] {
            let error = named(bad).unwrap_err();
            assert!(matches!(error, Error::InvalidManifest(_)), "{bad}: {error}");
            assert_eq!(error.report().facts["path"], "name");
        }
    }

    #[test]
    fn indexed_job_needs_room_for_its_largest_index() {
        for (length, completions, fits) in
            [(61, 10, true), (62, 10, false), (60, 11, true), (61, 11, false), (52, 2_147_483_647, true), (63, 0, true)]
        {
            assert_eq!(
                named(&"x".repeat(length)).unwrap().check_indexed(completions).is_ok(),
                fits,
                "{length} {completions}"
            );
        }
    }
}
