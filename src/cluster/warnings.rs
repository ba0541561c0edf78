//! Reads the `Warning` headers of answers: what the API server or an admission plugin wants a person to know although
//! the request succeeded.
//!
//! Promise: a handle, and each handle that was made of it, passes a text on once, however many answers carry it. Texts are cut and limited in number, and
//! a last message says if some were left out. The code that shows a text escapes it, like all texts of others. Sources:
//! `ParseWarningHeaders` in kubernetes `apimachinery/pkg/util/net/http.go`, `WarningWriter` in
//! `client-go/rest/warnings.go`, which shows only those of code 299, and RFC 7234, section 5.5.

use std::{
    collections::HashSet,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use http::{HeaderMap, header};
use regex::Regex;

/// A handle passes on at most this many texts.
const MOST: usize = 20;
/// At most this many characters of a text are kept.
const LONGEST: usize = 500;
/// At most this many bytes of all headers of an answer are read. The API server itself sends at most 4 KiB.
const LARGEST: usize = 16 << 10;

/// Passes the warnings of a handle on.
pub(super) struct AnswerWarnings {
    tell: Box<dyn Fn(String) + Send + Sync>,
    told: Arc<Mutex<HashSet<String>>>,
}

impl AnswerWarnings {
    /// Passes on what `before`, if there is one, has not passed on already.
    pub fn after(before: Option<&Self>, tell: impl Fn(String) + Send + Sync + 'static) -> Self {
        Self { tell: Box::new(tell), told: before.map(|before| Arc::clone(&before.told)).unwrap_or_default() }
    }

    /// Passes on the new warnings of an answer.
    pub fn hear(&self, headers: &HeaderMap) {
        if !headers.contains_key(header::WARNING) {
            return;
        }
        for text in texts(headers) {
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.len() > MOST || !told.insert(text.clone()) {
                continue;
            }
            let last = told.len() > MOST;
            drop(told);
            (self.tell)(if last { "there are more warnings than are shown here".to_owned() } else { text });
        }
    }
}

/// The texts of the warnings of code 299 in an answer. Reading of a header ends at the first part that RFC 7234 does
/// not allow.
fn texts(headers: &HeaderMap) -> Vec<String> {
    static WARNING: LazyLock<Regex> = LazyLock::new(|| {
        let one = r#"^[ \t]*(\d{3}) +(\S+) +"((?:[^"\\]|\\.)*)"(?: +"(?:[^"\\]|\\.)*")?[ \t]*(?:,|$)"#;
        Regex::new(one).expect("it is a constant")
    });
    let mut found = Vec::new();
    let mut left = LARGEST;
    for value in headers.get_all(header::WARNING) {
        let value = &value.as_bytes()[..value.len().min(left)];
        left -= value.len();
        let value = String::from_utf8_lossy(value);
        let mut rest = &*value;
        while let Some(one) = WARNING.captures(rest) {
            rest = &rest[one[0].len()..];
            let text = unquoted(&one[3]);
            if &one[1] == "299" && !text.is_empty() {
                found.push(text);
            }
        }
    }
    found
}

/// A text without the backslashes before quoted characters, cut if it is long.
fn unquoted(text: &str) -> String {
    let mut letters = text.chars();
    let plain = std::iter::from_fn(|| match letters.next()? {
        '\\' => letters.next(),
        letter => Some(letter),
    });
    let mut text: String = plain.take(LONGEST + 1).collect();
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let value = |value: &&[u8]| (header::WARNING, HeaderValue::from_bytes(value).unwrap());
        values.iter().map(value).collect()
    }

    #[test]
    fn texts_are_those_that_client_go_shows() {
        let cases: [(&[&[u8]], &[&str]); 12] = [
            (&[b"299 - \"batch/v1beta1 CronJob is deprecated\""], &["batch/v1beta1 CronJob is deprecated"]),
            (&[b"299 - \"a\", 299 - \"b, with a comma\",299 - \"c\""], &["a", "b, with a comma", "c"]),
            (&[b"299 - \"a\"", b"299 agent \"b\" \"Sat, 25 Aug 2012 23:34:45 GMT\""], &["a", "b"]),
            (&[b"299 - \"unknown field \\\"spec.x\\\" and \\\\\""], &["unknown field \"spec.x\" and \\"]),
            (&["299 - \"größe\"".as_bytes()], &["größe"]),
            (&[b"199 - \"other codes are not ours\""], &[]),
            (&[b"299 - \"\""], &[]),
            (&[b"299 - unquoted"], &[]),
            (&[b"299 - \"a\" junk, 299 - \"b\""], &[]),
            (&[b"299 - \"not ended"], &[]),
            (&[b"299 - \"a\", junk"], &["a"]),
            (&[b""], &[]),
        ];
        for (values, expected) in cases {
            assert_eq!(texts(&headers(values)), expected, "{values:?}");
        }
    }

    #[test]
    fn each_text_is_told_once_and_not_without_end() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let list = Arc::clone(&told);
        let before = AnswerWarnings::after(None, |_| {});
        before.hear(&headers(&[b"299 - \"said before\""]));
        let warnings = AnswerWarnings::after(Some(&before), move |text| list.lock().unwrap().push(text));
        for _ in 0..3 {
            warnings.hear(&headers(&[b"299 - \"said before\", 299 - \"a\", 299 - \"b\""]));
        }
        warnings.hear(&headers(&[format!("299 - \"{}\"", "x".repeat(5_000)).as_bytes()]));
        for number in 0..100 {
            warnings.hear(&headers(&[format!("299 - \"{number}\"").as_bytes()]));
        }
        let told = told.lock().unwrap();
        assert_eq!(told[..2], ["a", "b"]);
        assert!(told[2].len() < 600 && told[2].ends_with("..."), "{}", told[2].len());
        assert_eq!(told.len(), MOST, "with the one before, and the last");
        assert!(told[MOST - 1].contains("more warnings"), "{}", told[MOST - 1]);
    }

    proptest! {
        #[test]
        fn whatever_stands_there_is_read_and_what_is_quoted_well_is_found(junk in prop::collection::vec(any::<u8>(), 0..200), text in "[ -~äß]{1,40}") {
            if let Ok(value) = HeaderValue::from_bytes(&junk) {
                texts(&HeaderMap::from_iter([(header::WARNING, value)]));
            }
            let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
            prop_assert_eq!(texts(&headers(&[format!("299 - \"{quoted}\"").as_bytes()])), [text]);
        }
    }
}
