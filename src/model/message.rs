//! One sentence for the task log about what happens to a Job.

use std::sync::Arc;

use serde::Serialize;

use crate::{error::Error, text::one_line};

/// Takes sentences for the task log.
pub trait MessageSink: Send + Sync {
    /// Takes one more sentence.
    fn emit(&self, message: Message);
}

impl<S: MessageSink + ?Sized> MessageSink for Arc<S> {
    fn emit(&self, message: Message) {
        (**self).emit(message);
    }
}

impl<F: Fn(Message) + Send + Sync> MessageSink for F {
    fn emit(&self, message: Message) {
        self(message);
    }
}

/// How much a sentence, or a line of a container, matters: the level of its record in the task log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// A step of one Pod among many.
    Debug,
    /// The Job goes its normal course.
    Info,
    /// Something holds the Job, or a promise is limited.
    Warning,
    /// A container says that something failed.
    Error,
}

impl Level {
    /// The word that it is serialized as.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One sentence, with a stable code for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// How much the sentence matters.
    pub level: Level,
    /// The stable code in kebab case: `pod-scheduled`, or the code of a finding.
    pub code: String,
    /// The sentence: one line, or one line and the lines of a report.
    pub text: String,
}

impl Message {
    /// A message about the normal course.
    #[must_use]
    pub fn info(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self { level: Level::Info, code: code.into(), text: one_line(text) }
    }

    /// A message about an error that does not end the work: it says what is done in spite of the error, and has its
    /// report.
    #[must_use]
    pub fn in_spite_of(error: &Error, code: impl Into<String>, what: impl Into<String>) -> Self {
        Self { level: Level::Warning, code: code.into(), text: format!("{}\n{error}", one_line(what)) }
    }

    /// A message about something that holds the Job.
    #[must_use]
    pub fn warning(code: impl Into<String>, text: impl Into<String>) -> Self {
        Self { level: Level::Warning, code: code.into(), text: one_line(text) }
    }

    /// A message of several lines, each of which was made safe before.
    #[must_use]
    pub(crate) fn of_lines(level: Level, code: impl Into<String>, lines: String) -> Self {
        Self { level, code: code.into(), text: lines }
    }

    /// A message with a warning of the API server, in its words.
    #[must_use]
    pub fn of_the_api_server(warning: &str) -> Self {
        Self::warning("api-warning", format!("The API server warns: {warning}"))
    }
}
