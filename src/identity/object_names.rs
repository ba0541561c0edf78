//! Checks names of Kubernetes objects that become part of a request. Pure.
//!
//! Promise: a value of one of these types is a name that the API server could have stored, and so exactly one segment
//! of a path. Only [`FromStr`] makes one (deserialization goes through it). A refusal names the argument or the field
//! that gave the text. Sources: <https://kubernetes.io/docs/concepts/overview/working-with-objects/names/>, and
//! `IsDNS1123Label`, `IsDNS1123Subdomain` in kubernetes `apimachinery/pkg/util/validation`.

use std::{fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeOwned},
};
use serde_json::Value;

use super::fixed_name::FixedName;
use crate::{
    error::{Error, Report},
    unreadable,
};

/// A refused text of more characters is not shown; with capitals, as keys and tokens have them, one of fewer.
const SHOWN: usize = 63;
const SHOWN_WITH_CAPITALS: usize = 24;

/// The form of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// A DNS label of RFC 1123.
    Label,
    /// DNS labels, joined by dots.
    Subdomain,
}

impl Rule {
    fn longest(self) -> usize {
        match self {
            Self::Label => 63,
            Self::Subdomain => 253,
        }
    }

    /// What is wrong with a text; `None` if it is a name of this form.
    pub(super) fn fault(self, text: &str) -> Option<String> {
        let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        let allowed = |letter: char| plain(letter) || letter == '-' || (self == Self::Subdomain && letter == '.');
        if text.is_empty() {
            return Some("is empty".into());
        }
        if let Some(letter) = text.chars().find(|letter| !allowed(*letter)) {
            return Some(format!("contains `{}`", letter.escape_debug()));
        }
        if text.len() > self.longest() {
            return Some(format!("has {} characters", text.len()));
        }
        let ends_plain = |label: &str| label.starts_with(plain) && label.ends_with(plain);
        (!text.split('.').all(ends_plain)).then(|| match self {
            Self::Label => "begins or ends with `-`".into(),
            Self::Subdomain => "has a `-` or a `.` where a letter or digit has to be".into(),
        })
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Label => {
                "give a DNS label (RFC 1123): 1 to 63 of a-z, 0-9 and `-`, with a letter or digit first and last"
            }
            Self::Subdomain => {
                "give a DNS subdomain (RFC 1123): 1 to 253 of a-z, 0-9, `-` and `.`, with a letter or digit first and \
                 last, and on both sides of each `.`"
            }
        }
    }
}

/// A text that should be a name, and is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidName {
    argument: String,
    /// The kind of object that it should name.
    object: &'static str,
    /// The text where it may be shown, else its length.
    shown: String,
    fault: String,
    rule: Rule,
}

impl InvalidName {
    fn new(argument: &str, object: &'static str, rule: Rule, text: &str, fault: String) -> Self {
        let shown = match text.chars().count() {
            0 => "the text".to_owned(),
            _ if may_be_shown(text) => format!("`{text}`"),
            long => format!("a text of {long} characters"),
        };
        Self { argument: argument.to_owned(), object, shown, fault, rule }
    }

    /// The same fault, with the argument or field that gave the text.
    #[must_use]
    pub fn of(mut self, argument: impl Into<String>) -> Self {
        self.argument = argument.into();
        self
    }

    fn report(&self) -> Report {
        Report::new(format!("{} cannot be the name of a {}", self.argument, self.object))
            .seen(format!("{} {}", self.shown, self.fault))
            .hint(self.rule.words())
            .fact("path", self.argument.trim_matches('`'))
    }

    /// The error for an argument or a part of the configuration.
    #[must_use]
    pub fn in_configuration(&self) -> Error {
        Error::Configuration(Box::new(self.report()))
    }

    /// The error for a part of the Job that is to be made.
    #[must_use]
    pub fn in_manifest(&self) -> Error {
        Error::InvalidManifest(Box::new(self.report()))
    }
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be the name of a {}: it {}", self.shown, self.object, self.fault)
    }
}

impl std::error::Error for InvalidName {}

/// Whether a text that is no name looks like one with a slip: a template may have rendered a secret in its place.
fn may_be_shown(text: &str) -> bool {
    let capitals = text.chars().any(|letter| letter.is_ascii_uppercase());
    let mut others: Vec<char> =
        text.chars().filter(|letter| !letter.is_ascii_alphanumeric() && !matches!(letter, '-' | '.')).collect();
    others.sort_unstable();
    others.dedup();
    let slip = others.iter().all(|letter| matches!(letter, '_' | '/' | ' ')) && others.len() <= 1;
    slip && text.chars().count() <= if capitals { SHOWN_WITH_CAPITALS } else { SHOWN }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $rule:ident, $object:literal, $argument:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                match Rule::$rule.fault(text) {
                    None => Ok(Self(text.to_owned())),
                    Some(fault) => Err(InvalidName::new(concat!("`", $argument, "`"), $object, Rule::$rule, text, fault)),
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl From<$name> for Value {
            fn from(name: $name) -> Self {
                Self::String(name.0)
            }
        }
    )*};
}

names! {
    /// The name of a namespace. There is no value for "all of them".
    Namespace: Label, "namespace", "namespace";
    /// The name of a Job; a name that we make has at most 52 characters.
    JobName: Subdomain, "Job", "name";
    /// The name of a `CronJob`.
    CronJobName: Subdomain, "CronJob", "from_cron_job";
    /// The name of a queue of Kueue, a `LocalQueue`.
    QueueName: Subdomain, "LocalQueue", "queue_name";
    /// The name of a Pod.
    PodName: Subdomain, "Pod", "pod";
    /// The name of a container of a Pod.
    ContainerName: Label, "container", "container";
    /// The name of a node.
    NodeName: Subdomain, "node", "node";
}

impl JobName {
    /// A name that [`super::name::job_name`] has composed of a slug, digits and a digest.
    pub(super) fn composed(text: String) -> Self {
        debug_assert_eq!(Rule::Label.fault(&text), None, "{text}");
        Self(text)
    }
}

impl From<FixedName> for JobName {
    fn from(name: FixedName) -> Self {
        Self(name.into_text())
    }
}

/// The JSON pointer of a name, and its check.
pub type NameField<'a> = (&'a str, fn(&str) -> Option<InvalidName>);

/// The reason why a request could not be read, if it is a wrong name at one of these JSON pointers. The error calls the
/// argument by the last key of its pointer.
#[must_use]
pub fn invalid_name_in(request: &Value, fields: &[NameField<'_>]) -> Option<InvalidName> {
    fields.iter().find_map(|(pointer, check)| {
        let invalid = check(request.pointer(pointer)?.as_str()?)?;
        Some(invalid.of(format!("`{}`", pointer.rsplit('/').next().unwrap_or_default())))
    })
}

/// Reads a request; one that is refused for a name in it says so by the argument that gives the name, any other as `what`.
pub fn read_request<T: DeserializeOwned>(request: &Value, what: &str, names: &[NameField<'_>]) -> Result<T, Error> {
    unreadable::from_value(request).map_err(|error| match invalid_name_in(request, names) {
        Some(invalid) => invalid.in_configuration(),
        None => Error::Configuration(Box::new(Report::new(what).seen(error.to_string()))),
    })
}

/// Checks one field for [`invalid_name_in`].
#[must_use]
pub fn refused_as<N: FromStr<Err = InvalidName>>(text: &str) -> Option<InvalidName> {
    N::from_str(text.trim()).err()
}

/// Reads a name that a person gives, without the spaces around it: templates may leave some.
pub fn trimmed<'de, D: Deserializer<'de>, N: FromStr<Err: fmt::Display>>(deserializer: D) -> Result<N, D::Error> {
    String::deserialize(deserializer)?.trim().parse().map_err(de::Error::custom)
}

/// The same for a name that may be left out.
pub fn trimmed_option<'de, D: Deserializer<'de>, N: FromStr<Err: fmt::Display>>(
    deserializer: D,
) -> Result<Option<N>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| text.trim().parse().map_err(de::Error::custom)).transpose()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn names_are_what_kubernetes_takes() {
        for good in ["a", "0", "a-b", "a--b", &"x".repeat(63)] {
            assert!(good.parse::<Namespace>().is_ok(), "{good}");
            assert!(good.parse::<JobName>().is_ok(), "{good}");
        }
        for good in ["a.b", "a-1.b--c.0", &"x".repeat(253)] {
            assert!(good.parse::<JobName>().is_ok(), "{good}");
            assert!(good.parse::<Namespace>().is_err(), "{good}");
        }
        let bad = [
            "",
            " ",
            "a b",
            "a\n",
            "-a",
            "a-",
            "A",
            "a_b",
            ".",
            "..",
            "a..b",
            "a.-b",
            ".a",
            "a.",
            "a/b",
            "a?b",
            "a#b",
            "a%2eb",
            "größe",
            "a\u{202e}b",
        ];
        for bad in bad {
            assert!(bad.parse::<Namespace>().is_err(), "{bad:?}");
            assert!(bad.parse::<JobName>().is_err(), "{bad:?}");
        }
        assert!("x".repeat(64).parse::<ContainerName>().is_err());
        assert!("x".repeat(254).parse::<PodName>().is_err());
    }

    #[test]
    fn what_is_refused_is_told_by_its_argument_what_is_wrong_and_what_is_right() {
        let refused = "hostile/jobs".parse::<Namespace>().unwrap_err();
        let error = refused.of("`--namespace`").in_configuration();
        assert_eq!(error.class(), "ConfigurationError");
        let Report { message, seen, hint, .. } = error.report();
        assert_eq!(message, "`--namespace` cannot be the name of a namespace");
        assert_eq!(seen, &["`hostile/jobs` contains `/`"]);
        assert!(hint.as_deref().unwrap().contains("DNS label"));
        let long = "x".repeat(5000).parse::<Namespace>().unwrap_err().in_manifest().to_string();
        assert!(long.contains("5000") && long.len() < 400, "{long}");
    }

    #[test]
    fn refused_text_is_shown_only_where_it_looks_like_a_name_with_a_slip() {
        for slip in ["my_etl_job", "team/prod", "Nightly", "a b", "-a", "../../etl", "ETL-Production"] {
            let said = slip.parse::<Namespace>().unwrap_err().to_string();
            assert!(said.contains(slip), "{said}");
        }
        for secret in [
            "hunter2-password!",
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
            "AKIAIOSFODNN7EXAMPLE-wJalrXUtnFEMI",
            "dGhpcyBpcyBhIHNlY3JldA==",
            "postgres://u:p@host/db",
            "hostile/jobs/victim?x=\n",
        ] {
            let said = secret.parse::<Namespace>().unwrap_err().of("`namespace`").in_configuration().to_string();
            let length = format!("a text of {} characters contains", secret.chars().count());
            assert!(said.contains(&length) && !said.contains(&secret[..8]), "{said}");
        }
    }

    #[test]
    fn request_is_refused_by_the_first_field_that_is_no_name() {
        let fields: [NameField<'_>; 2] =
            [("/namespace", refused_as::<Namespace>), ("/target/name", refused_as::<JobName>)];
        let request = json!({"namespace": "etl", "target": {"name": "../x"}});
        let error = invalid_name_in(&request, &fields).unwrap().in_configuration();
        assert_eq!(error.report().facts["path"], "name");
        assert_eq!(invalid_name_in(&json!({"namespace": "etl", "target": 3}), &fields), None);
    }

    proptest! {
        #[test]
        fn name_is_one_segment_that_needs_no_encoding(text in "\\PC*|[a-z0-9./?#%-]{1,12}") {
            for name in [text.parse::<Namespace>().map(String::from), text.parse::<JobName>().map(String::from)] {
                let Ok(name) = name else { continue };
                prop_assert_eq!(&name, &text);
                prop_assert!(!name.is_empty() && name != "." && name != "..");
                prop_assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.'));
            }
        }
    }
}
