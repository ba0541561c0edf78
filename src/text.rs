//! Makes texts of others safe inside our sentences (on one line and visible) and inside commands (quoted).
//!
//! Promise: a text of strangers (an image, a message, the name of a finalizer) begins no line of its own and hides
//! nothing, wherever a sentence is shown. A command to paste has exactly the intended words for every POSIX shell. All
//! code that composes a sentence ([`crate::error::Report`], a finding, a message) uses [`one_line`].

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
};

use serde_json::Value;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

/// So many characters of a line of others are shown.
const LONGEST: usize = 300;

/// A line of a log as one line of a text of ours: cut, and with nothing that a terminal obeys.
pub(crate) fn shortened(line: &str) -> String {
    match line.char_indices().nth(LONGEST) {
        None => one_line(line),
        Some((end, _)) => format!("{}...", one_line(&line[..end])),
    }
}

/// Escapes all characters of a text that cannot be seen or would begin another line, as `\n` or `\u202e`. A text that
/// was escaped before stays as it is.
#[must_use]
pub fn one_line(text: impl Into<String>) -> String {
    let text = text.into();
    if text.chars().all(is_visible) {
        return text;
    }
    let mut line = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        match letter {
            visible if is_visible(visible) => line.push(visible),
            '\n' => line.push_str("\\n"),
            '\r' => line.push_str("\\r"),
            '\t' => line.push_str("\\t"),
            hidden => {
                let number = u32::from(hidden);
                let _ = match number {
                    0..0x100 => write!(line, "\\x{number:02x}"),
                    0x100..0x1_0000 => write!(line, "\\u{number:04x}"),
                    _ => write!(line, "\\U{number:08x}"),
                };
            }
        }
    }
    line
}

/// Whether a character is visible and stays in its place. The plain space is the only invisible character that may
/// stay.
fn is_visible(letter: char) -> bool {
    if letter.is_ascii() {
        return letter == ' ' || letter.is_ascii_graphic();
    }
    let hidden =
        matches!(letter.general_category_group(), GeneralCategoryGroup::Other | GeneralCategoryGroup::Separator);
    !hidden && letter.general_category() != GeneralCategory::Unassigned && !is_ignorable(letter)
}

/// Whether a character is a joiner, a filler or a selector among letters and marks. Source: Unicode
/// `Default_Ignorable_Code_Point`, as far as it is not of the category Format anyway.
fn is_ignorable(letter: char) -> bool {
    matches!(letter,
        '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}')
}

/// A command to paste into a shell, with a comment that says what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    words: Vec<Cow<'static, str>>,
    /// Whether a name of a stranger cannot be written as a word, because it has a line break or looks like an option.
    unfit: bool,
    comment: &'static str,
}

impl Command {
    /// A command that begins with these words of ours.
    #[must_use]
    pub fn new(words: &[&'static str]) -> Self {
        Self { words: Vec::new(), unfit: false, comment: "" }.words(words)
    }

    /// A command of `kubectl` in a namespace.
    #[must_use]
    pub fn kubectl_in(namespace: impl fmt::Display, words: &[&'static str]) -> Self {
        Self::new(&["kubectl", "-n"]).name(namespace).words(words)
    }

    /// Adds words of ours.
    #[must_use]
    pub fn words(mut self, words: &[&'static str]) -> Self {
        self.words.extend(words.iter().copied().map(Cow::Borrowed));
        self
    }

    /// Adds a name that somebody else has chosen.
    #[must_use]
    pub fn name(mut self, name: impl fmt::Display) -> Self {
        let name = name.to_string();
        self.unfit |= name.is_empty() || name.starts_with('-');
        self.push(name)
    }

    /// Adds a word that begins with our text and ends with a text of somebody else, such as a selector.
    #[must_use]
    pub fn name_after(self, ours: &'static str, name: &str) -> Self {
        self.push(format!("{ours}{name}"))
    }

    /// Adds JSON as one word.
    #[must_use]
    pub fn json(self, value: &Value) -> Self {
        self.push(value.to_string())
    }

    /// Sets the comment. It must have only words of ours, because not every shell treats `#` as the beginning of a
    /// comment.
    #[must_use]
    pub fn comment(mut self, comment: &'static str) -> Self {
        self.comment = comment;
        self
    }

    fn push(mut self, word: String) -> Self {
        self.unfit |= !word.chars().all(is_visible);
        self.words.push(Cow::Owned(word));
        self
    }
}

/// Quotes a text if a shell could read it as more than one word. Options such as `--fix=x` stay as people write them.
fn as_word(word: &str) -> Result<Cow<'_, str>, shlex::QuoteError> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./,:=".contains(letter);
    if word.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '-') && word.chars().all(plain) {
        Ok(Cow::Borrowed(word))
    } else {
        shlex::try_quote(word)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Result<Vec<_>, _> = self.words.iter().map(|word| as_word(word)).collect();
        match words {
            Ok(words) if !self.unfit => f.write_str(&words.join(" "))?,
            _ => f.write_str("# no command is offered, since a name in it is none that a shell should see")?,
        }
        if self.comment.is_empty() { Ok(()) } else { write!(f, "  # {}", self.comment) }
    }
}

impl From<Command> for String {
    fn from(command: Command) -> Self {
        command.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn lines_of_a_log_are_cut_and_cannot_be_taken_for_ours() {
        assert_eq!(shortened("a\u{1b}[31mb"), "a\\u{1b}[31mb".replace("\\u{1b}", "\\x1b"));
        assert_eq!(shortened(&"x".repeat(5000)).len(), LONGEST + 3);
    }

    #[test]
    fn what_cannot_be_seen_is_escaped_and_the_rest_stays() {
        let cases = [
            ("plain `etl/train` {x}: \"y\" 'z' \\n", "plain `etl/train` {x}: \"y\" 'z' \\n"),
            ("größe 東京 😀 e\u{301}", "größe 東京 😀 e\u{301}"),
            ("x\n  next: curl evil", "x\\n  next: curl evil"),
            ("a\r\tb\u{1b}[2J\u{9b}", "a\\r\\tb\\x1b[2J\\x9b"),
            (
                "\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}\u{2029}\u{85}",
                "\\u202e\\u2066\\u200b\\ufeff\\u2028\\u2029\\x85",
            ),
            ("\u{3164}\u{fe0f}\u{e0001}\u{a0}", "\\u3164\\ufe0f\\U000e0001\\xa0"),
        ];
        for (text, line) in cases {
            assert_eq!(one_line(text), line);
            assert_eq!(one_line(line), line, "made visible once more");
        }
    }

    #[test]
    fn command_with_a_name_that_is_like_an_option_or_has_a_line_break_is_not_offered() {
        for name in ["--kubeconfig=evil", "a\nrm -rf ~", "a\0b", "\u{202e}", ""] {
            let offered = Command::kubectl_in("etl", &["describe", "pod"]).name(name).comment("its Events say why");
            let offered = offered.to_string();
            assert!(offered.starts_with("# no command"), "{offered}");
            assert_eq!(shlex::split(&offered), Some(Vec::new()), "nothing of it would run");
        }
    }

    proptest! {
        #[test]
        fn whatever_strangers_write_is_one_visible_line(text in any::<String>()) {
            let line = one_line(&text);
            prop_assert!(line.chars().all(is_visible));
            prop_assert_eq!(one_line(&line), line);
        }

        #[test]
        fn command_has_the_words_that_were_meant_or_is_not_offered(name in any::<String>(), value in any::<String>()) {
            let patch = json!([{"op": "test", "value": value}]);
            let offered = Command::kubectl_in(&name, &["patch", "job"]).name_after("uid=", &value).json(&patch);
            let words = shlex::split(&offered.comment("only once").to_string());
            let meant = ["kubectl", "-n", &name, "patch", "job", &format!("uid={value}"), &patch.to_string()];
            let meant: Vec<_> = meant.iter().map(ToString::to_string).collect();
            prop_assert!(words == Some(meant) || words == Some(Vec::new()), "{:?}", words);
        }
    }
}
