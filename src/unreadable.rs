//! Says where a parser refuses a text, and what was expected there, but never what stands there.
//!
//! A parser's own message quotes the text, and the text may be a kubeconfig, a manifest with passwords, or the answer
//! of a credential plugin. So no such message is passed on.

use std::fmt;

use serde::Deserializer;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// The place at which a text is not understood, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    why: &'static str,
    /// The path of field names and list positions; the names are those of a schema.
    path: Option<String>,
    line: usize,
    column: usize,
}

impl Unreadable {
    /// Reads an error of the JSON parser.
    #[must_use]
    pub fn json(error: &serde_json::Error) -> Self {
        use serde_json::error::Category;
        let why = match error.classify() {
            Category::Io => "the text could not be read",
            Category::Syntax => "not JSON",
            Category::Data => "a field is missing or unknown, or its value is of another type than expected",
            Category::Eof => "JSON that ends too early",
        };
        Self { why, path: None, line: error.line(), column: error.column() }
    }

    #[expect(clippy::needless_pass_by_value, reason = "as `map_err` hands it over")]
    fn at(error: serde_path_to_error::Error<serde_json::Error>) -> Self {
        let path = error.path().to_string();
        Self { path: (path != "." && path != "?").then_some(path), ..Self::json(error.inner()) }
    }
}

/// Reads JSON whose schema is ours; a refusal names the field.
pub fn from_json<T: DeserializeOwned>(text: &[u8]) -> Result<T, Unreadable> {
    let mut json = serde_json::Deserializer::from_slice(text);
    let read = serde_path_to_error::deserialize(&mut json).map_err(Unreadable::at)?;
    json.end().map_err(|error| Unreadable::json(&error))?;
    Ok(read)
}

/// The same for JSON that is parsed already.
pub fn from_value<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, Unreadable> {
    // To know the path costs as much as to read, so it is found once a value is refused.
    T::deserialize(value).or_else(|_| serde_path_to_error::deserialize(value).map_err(Unreadable::at))
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            write!(f, "`{path}`: ")?;
        }
        f.write_str(self.why)?;
        if self.line > 0 {
            write!(f, " (line {}, column {})", self.line, self.column)?;
        }
        Ok(())
    }
}

/// Reads a value for which Go writes null if it is empty.
pub(crate) fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn place_and_field_are_told_and_the_value_is_not() {
        let text = br#"{"env": ["hunter2"]}"#;
        let error = from_json::<BTreeMap<String, Vec<u8>>>(text).unwrap_err().to_string();
        assert!(error.starts_with("`env[0]`: ") && error.contains("line 1, column 18"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn broken_and_half_texts_are_told_apart() {
        let why = |text: &str| from_json::<serde_json::Value>(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(why("hunter2"), "not JSON (line 1, column 1)");
        assert_eq!(why("{\"a\": 1"), "JSON that ends too early (line 1, column 7)");
        assert_eq!(why("{} hunter2"), "not JSON (line 1, column 4)");
    }
}
