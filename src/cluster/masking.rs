//! Masks secrets in a text that was written by somebody else, such as the output of a credential plugin that fails.
//!
//! It masks texts that are known to be secret, and texts of a shape that secrets have. It may mask too much: the text
//! is for a person who looks for a reason, and every word that is left must be safe.

use std::sync::LazyLock;

use regex::Regex;

/// The text that replaces a secret.
const MASK: &str = "***";
/// Shorter secrets are not masked: they may be common words, and a text without its words says nothing.
const SHORTEST: usize = 4;

/// The shapes of secrets. The second group is masked; without one, the whole match is.
static SHAPES: LazyLock<[Regex; 5]> = LazyLock::new(|| {
    [
        // Keys in PEM, with all their lines.
        r"(?s)-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\z)",
        // Userinfo of a URL.
        r"(://)([^/\s@]+)(?:@)",
        // `password=...`, `Authorization: Bearer ...`, `"token": "..."`.
        r#"(?i)((?:passw(?:or)?d|passphrase|secret|token|credential|api[-_]?key|access[-_]?key|authorization|bearer|basic)[\w-]*["']?\s*[=:\s]\s*["']?)((?:bearer\s+|basic\s+)?[^\s"',;&]+)"#,
        // JSON Web Tokens.
        r"eyJ[\w-]+(?:\.[\w-]*){0,2}",
        // Base64 and hexadecimal: longer than words and most names are.
        r"[A-Za-z0-9+/_=-]{24,}",
    ]
    .map(|shape| Regex::new(shape).expect("a pattern of ours"))
});

/// The texts that are known to be secret.
#[derive(Default)]
pub(super) struct Masking {
    known: Vec<String>,
}

impl Masking {
    /// Adds a text, and the forms in which it may also be written.
    pub fn add(&mut self, secret: &str) {
        for secret in secret.lines().chain([secret]).map(str::trim).filter(|secret| secret.len() >= SHORTEST) {
            self.known.push(secret.to_owned());
        }
    }

    /// Adds every word of a text.
    pub fn add_words(&mut self, text: &str) {
        text.split(|c: char| c.is_whitespace() || "\"',:{}[]".contains(c)).for_each(|word| self.add(word));
    }

    /// A text of one line without secrets and control characters, cut to its last `longest` characters.
    pub fn one_line(&self, text: &str, longest: usize) -> String {
        let mut known: Vec<&String> = self.known.iter().collect();
        // A secret may be part of another, so longer ones are masked first.
        known.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        let mut text = text.to_owned();
        for secret in known {
            text = text.replace(secret.as_str(), MASK);
        }
        for shape in SHAPES.iter() {
            text = shape
                .replace_all(&text, |found: &regex::Captures<'_>| match (found.get(1), found.get(2)) {
                    (Some(before), Some(secret)) => {
                        let end = &text[secret.end()..found.get(0).map_or(secret.end(), |whole| whole.end())];
                        format!("{}{MASK}{end}", before.as_str())
                    }
                    _ => MASK.to_owned(),
                })
                .into_owned();
        }
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let plain: String = lines.join(" | ").chars().flat_map(visible).collect();
        let length = plain.chars().count();
        if length <= longest {
            return plain;
        }
        format!("... {}", plain.chars().skip(length - longest).collect::<String>())
    }
}

/// Escapes a character that could move the cursor or begin a line.
fn visible(c: char) -> Vec<char> {
    let harmless = !c.is_control()
        && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    if harmless { vec![c] } else { c.escape_unicode().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_secrets_are_masked_also_where_one_is_part_of_another() {
        let mut masking = Masking::default();
        masking.add("hunter2");
        masking.add("hunter2-and-more");
        masking.add("of");
        assert_eq!(masking.one_line("hunter2-and-more of hunter2", 100), "*** of ***");
    }

    #[test]
    fn secrets_are_known_by_their_shape() {
        for (text, left) in [
            ("got eyJhbGciOi.eyJzdWIi.c2ln now", "got *** now"),
            ("see https://user:hunter2@host/a", "see https://***@host/a"),
            ("password=hunter2 for joe", "password=*** for joe"),
            ("Authorization: Bearer hunter2", "Authorization: ***"),
            (r#"{"token": "hunter2", "a": 1}"#, r#"{"token": "***", "a": 1}"#),
            ("key AKIAIOSFODNN7EXAMPLEAKIAIOSFODNN7", "key ***"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----\nno such file",
                "*** | no such file",
            ),
            (
                "Unable to locate credentials. You can configure them by running \"aws configure\".",
                "Unable to locate credentials. You can configure them by running \"aws configure\".",
            ),
        ] {
            assert_eq!(Masking::default().one_line(text, 200), left);
        }
    }

    #[test]
    fn text_is_one_line_and_its_end_is_kept() {
        let masking = Masking::default();
        assert_eq!(masking.one_line("a\n\n  b\r\n", 10), "a | b");
        assert_eq!(masking.one_line("red \x1b[31m \u{202e}", 99), "red \\u{1b}[31m \\u{202e}");
        assert_eq!(masking.one_line("one two three", 5), "... three");
    }
}
