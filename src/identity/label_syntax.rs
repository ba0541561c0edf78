//! Says which texts Kubernetes takes as the key and as the value of a label, and makes a value of any text. Pure.
//!
//! Promise: [`safe_label_value`] gives a value that Kubernetes takes, the same one for the same text, and for a text of
//! a task the one that the provider cncf.kubernetes writes on its Pods: selectors and dashboards that were made for
//! those go on working. Source of the rules: <https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set>.

use data_encoding::HEXLOWER;
use md5::{Digest as _, Md5};

use super::object_names::Rule;

/// The longest value, and the longest name in a key.
const LONGEST: usize = 63;
/// So many characters of a digest distinguish values that were shortened or changed.
const DIGEST: usize = 9;

/// The rule for a value, in words.
pub const LABEL_VALUE_RULE: &str =
    "at most 63 of A-Z, a-z, 0-9, `-`, `_` and `.`, with a letter or digit first and last, or an empty text";
/// The rule for a key, in words.
pub const LABEL_KEY_RULE: &str = "a name of 1 to 63 of A-Z, a-z, 0-9, `-`, `_` and `.`, with a letter or digit first and last; before it, if \
     wanted, a DNS subdomain and `/`";

/// What is wrong with the value of a label; `None` if Kubernetes takes it.
#[must_use]
pub fn label_value_fault(value: &str) -> Option<String> {
    if value.is_empty() { None } else { name_fault(value) }
}

/// What is wrong with the key of a label; `None` if Kubernetes takes it.
#[must_use]
pub fn label_key_fault(key: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let prefix = prefix.and_then(|prefix| Some(format!("its part before `/` {}", Rule::Subdomain.fault(prefix)?)));
    prefix.or_else(|| if name.is_empty() { Some("it has no name".into()) } else { name_fault(name) })
}

/// What is wrong with the key of an annotation, which is that of a label in any case.
#[must_use]
pub fn annotation_key_fault(key: &str) -> Option<String> {
    label_key_fault(&key.to_ascii_lowercase())
}

/// The text itself where it can be a value; else what can stand there of it, at most 53 characters, and the beginning
/// of its MD5, so that different texts have different values.
#[must_use]
pub fn safe_label_value(text: &str) -> String {
    let plain = text.trim_matches(|letter: char| !letter.is_ascii_alphanumeric());
    let plain: String = plain.chars().filter(|letter| is_allowed(*letter)).collect();
    if plain.len() <= LONGEST && plain == text {
        return plain;
    }
    let digest = &HEXLOWER.encode(&Md5::digest(text.as_bytes()))[..DIGEST];
    // A text without one letter that may stand there would begin with the `-`, which Kubernetes refuses.
    if plain.is_empty() { digest.to_owned() } else { format!("{:.*}-{digest}", LONGEST - DIGEST - 1, plain) }
}

fn is_allowed(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.')
}

fn name_fault(name: &str) -> Option<String> {
    if let Some(letter) = name.chars().find(|letter| !is_allowed(*letter)) {
        return Some(format!("it has `{}`", letter.escape_debug()));
    }
    if name.len() > LONGEST {
        return Some(format!("it has {} characters", name.len()));
    }
    let ends = |letter: char| letter.is_ascii_alphanumeric();
    (!name.starts_with(ends) || !name.ends_with(ends)).then(|| "it begins or ends with none of A-Z, a-z, 0-9".into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Values that the provider cncf.kubernetes 10.25.0 makes of these texts (`make_safe_label_value`).
    const OF_CNCF: &[(&str, &str)] = &[
        ("nightly", "nightly"),
        ("etl.load", "etl.load"),
        ("group.train", "group.train"),
        ("manual__2026-11-29T03:33:37.123456+00:00", "manual__2026-11-29T033337.1234560000-2421b3d86"),
        ("scheduled__2026-01-01T00:00:00+00:00", "scheduled__2026-01-01T0000000000-b36726f5d"),
        ("backfill__2026-01-01T00:00:00+00:00", "backfill__2026-01-01T0000000000-e7397dcd2"),
        (
            "dataset_triggered__2026-01-01T00:00:00.5+00:00_abc",
            "dataset_triggered__2026-01-01T000000.50000_abc-dcec0d78d",
        ),
        ("_private_", "private-0a954401a"),
        ("--a--", "a-e44060b23"),
        ("größe_report", "gre_report-342394a20"),
        ("a b", "ab-0cc9cd4dd"),
        (
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        ),
        (
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-c1bb4f81d",
        ),
        (
            "a-very-long-dag-id-that-names-its-team-and-its-purpose-and-goes-on.for_ever",
            "a-very-long-dag-id-that-names-its-team-and-its-purpos-ee12c636d",
        ),
        ("3", "3"),
        ("-1", "1-6bb61e3b7"),
        ("ü-report-", "report-5b667c89c"),
        ("a\n", "a-60b725f10"),
        ("...a/b...", "ab-4ffbf28ae"),
        ("customer@example.com", "customerexample.com-592fc57ef"),
        ("run #7 (again)", "run7again-027ab8467"),
    ];

    #[test]
    fn values_are_those_of_the_provider_cncf_kubernetes() {
        for (text, value) in OF_CNCF {
            assert_eq!(safe_label_value(text), *value, "{text}");
        }
    }

    #[test]
    fn text_without_a_letter_that_may_stand_in_a_value_becomes_a_digest() {
        assert_eq!(safe_label_value("日報"), "f7bfba8ed");
        assert_eq!(safe_label_value(""), "");
    }

    #[test]
    fn faults_are_those_that_kubernetes_finds() {
        for (value, fault) in [
            ("", None),
            ("a", None),
            ("A_b.c-9", None),
            ("manual__2026-11-29T03:33:37+00:00", Some("it has `:`")),
            ("a b", Some("it has ` `")),
            ("é", Some("it has `é`")),
            ("-a", Some("it begins or ends with none of A-Z, a-z, 0-9")),
            ("a_", Some("it begins or ends with none of A-Z, a-z, 0-9")),
        ] {
            assert_eq!(label_value_fault(value).as_deref(), fault, "{value}");
        }
        assert_eq!(label_value_fault(&"x".repeat(63)), None);
        assert_eq!(label_value_fault(&"x".repeat(64)).as_deref(), Some("it has 64 characters"));
        for key in ["a", "a.b/c_D", "Team"] {
            assert_eq!(label_key_fault(key), None, "{key}");
        }
        for key in ["", "a/", "/a", "a/b/c", "A.b/c", "a b", "-a"] {
            assert!(label_key_fault(key).is_some(), "{key}");
        }
        assert_eq!(annotation_key_fault("A.b/c"), None);
    }

    proptest! {
        #[test]
        fn every_text_becomes_a_value_that_kubernetes_takes(text in any::<String>()) {
            prop_assert_eq!(label_value_fault(&safe_label_value(&text)), None);
        }

        #[test]
        fn texts_of_airflow_become_a_value_that_kubernetes_takes(text in "[ -~]{0,250}") {
            let value = safe_label_value(&text);
            prop_assert_eq!(label_value_fault(&value), None);
            prop_assert_eq!(label_value_fault(&text).is_none(), value == text);
        }
    }
}
