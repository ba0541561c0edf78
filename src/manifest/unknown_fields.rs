//! Names the fields of a manifest that Kubernetes does not know, with the places where they may belong. Pure.
//!
//! The list is read from the API server's answer to a POST with `fieldValidation=Strict`, because only the API server
//! knows which fields it has. Source: `NewStrictDecodingError` in kubernetes `apimachinery/pkg/runtime`, and
//! `UnmarshalStrict` in `sigs.k8s.io/json`, which names at most 100.

use std::sync::LazyLock;

use regex::Regex;

use super::{fields, user_job::under};
use crate::error::{Error, Report};

/// The text before the list in such an answer.
const BEFORE: &str = "strict decoding error: ";

/// A field that is unknown in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownField {
    /// The path of the field.
    pub path: String,
    /// What it may have been meant to be, in words.
    pub meant: Option<String>,
}

impl UnknownField {
    /// A field of a Job that stands at `prefix` in what the user wrote.
    fn of_job(path: &str, prefix: &str) -> Self {
        Self { path: under(prefix, path), meant: fields::meant_in_a_job(path, prefix) }
    }

    /// The field and the suggestion in words.
    #[must_use]
    pub fn describe(&self) -> String {
        let Self { path, meant } = self;
        match meant {
            Some(meant) => format!("field `{path}` is not known here: {meant}"),
            None => format!("field `{path}` is not known here"),
        }
    }
}

/// Reads the fields that the API server does not know from the message of its refusal; `None` if the message says
/// something else. `prefix` is the path of the Job in what the user wrote.
#[must_use]
pub fn unknown_fields(message: &str, prefix: &str) -> Option<Vec<UnknownField>> {
    static FIELD: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(?:^|, )(unknown|duplicate) field ("(?:[^"\\]|\\.)*")"#).expect("it is a constant")
    });
    let (_, list) = message.split_once(BEFORE)?;
    let fields: Vec<_> = FIELD
        .captures_iter(list)
        .map(|found| {
            // Go quotes texts as JSON does, except for characters that nobody writes into the name of a field.
            let path: String =
                serde_json::from_str(&found[2]).unwrap_or_else(|_| found[2].trim_matches('"').to_owned());
            match &found[1] {
                "unknown" => UnknownField::of_job(&path, prefix),
                _ => UnknownField { path: under(prefix, &path), meant: Some("it stands twice".to_owned()) },
            }
        })
        .collect();
    (!fields.is_empty()).then_some(fields)
}

/// The refusal of a manifest with such fields.
#[must_use]
pub fn not_known(fields: &[UnknownField]) -> Error {
    let what = match fields {
        [_] => "The Job manifest cannot be used: a field is not known".to_owned(),
        fields => format!("The Job manifest cannot be used: {} fields are not known", fields.len()),
    };
    let mut report = Report::new(what);
    for field in fields {
        report = report.seen(field.describe());
    }
    let paths: Vec<_> = fields.iter().map(|field| field.path.clone()).collect();
    Error::InvalidManifest(Box::new(
        report
            .hint(
                "correct the manifest, or the argument that says it; to run the Job without these fields: \
                 field_validation=\"warn\"",
            )
            .fact("path", paths.first().cloned())
            .fact("fields", paths),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_answer_is_named_and_sent_where_it_belongs() {
        let message = "Job in version \"v1\" cannot be handled as a Job: strict decoding error: unknown field \
                       \"spec.template.spec.backoffLimit\", unknown field \"spec.ttlSecondsAfterFinish\", duplicate field \
                       \"spec.template.spec.containers[0].env\", unknown field \"spec.a\\\"b, unknown field \\\\\"";
        let fields = unknown_fields(message, "").unwrap();
        let paths: Vec<_> = fields.iter().map(|field| field.path.as_str()).collect();
        let expected = [
            "spec.template.spec.backoffLimit",
            "spec.ttlSecondsAfterFinish",
            "spec.template.spec.containers[0].env",
            "spec.a\"b, unknown field \\",
        ];
        assert_eq!(paths, expected);
        let error = not_known(&fields);
        assert_eq!(error.report().facts["fields"], serde_json::json!(expected));
        let text = error.to_string();
        for words in [
            "4 fields are not known",
            "field `spec.template.spec.backoffLimit` is not known here: it belongs to `spec`",
            "field `spec.ttlSecondsAfterFinish` is not known here: did you mean `ttlSecondsAfterFinished`?",
            "it stands twice",
        ] {
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn other_refusals_are_none_of_this() {
        for message in ["", "strict decoding error: ", "unknown field \"spec.x\"", "Job.batch \"x\" is invalid: spec"] {
            assert_eq!(unknown_fields(message, ""), None, "{message}");
        }
    }
}
