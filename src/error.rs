//! Defines the one error of the crate: what happened, what was seen, what to do next.
//!
//! Every variant is one class of the Python tree in `unique_k8s_job.exceptions`; the text is written where
//! the error arises, in three parts that are never mixed: a message that names the object, the evidence,
//! and one step that can be taken. No secret and no debug dump goes into any of them.

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use serde_json::Value;

use crate::text::one_line;

/// The parts of an error's text, and its facts as values for programs. Each part is one line, whatever texts of others
/// are in it ([`one_line`]).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// What happened and to which object, without a final full stop.
    pub message: String,
    /// The evidence, one fact for each entry.
    pub seen: Vec<String>,
    /// One next step.
    pub hint: Option<String>,
    /// Facts as attributes of the Python exception: `name`, `namespace`, `uid`, `status`, `reason`, ...
    pub facts: BTreeMap<&'static str, Value>,
}

impl Report {
    /// A report with a message only.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: one_line(message), ..Self::default() }
    }

    /// Adds one piece of evidence.
    #[must_use]
    pub fn seen(mut self, evidence: impl Into<String>) -> Self {
        self.seen.push(one_line(evidence));
        self
    }

    /// Sets the next step.
    #[must_use]
    pub fn hint(mut self, step: impl Into<String>) -> Self {
        self.hint = Some(one_line(step));
        self
    }

    /// Adds a fact for programs.
    #[must_use]
    pub fn fact(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.facts.insert(name, value.into());
        self
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for evidence in &self.seen {
            write!(f, "\n  seen: {evidence}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

/// The reason why an operation did not succeed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// The configuration of the cluster, or of an option, cannot be used.
    #[error("{0}")]
    Configuration(Box<Report>),
    /// The Job the user asked for cannot be made.
    #[error("{0}")]
    InvalidManifest(Box<Report>),
    /// The API server refused the request, and sending it again would not help.
    #[error("{0}")]
    ApiRefused(Box<Report>),
    /// The API server could not be reached, or went on failing, until the time limit.
    #[error("{0}")]
    ApiUnreachable(Box<Report>),
    /// An object that is not ours has our name.
    #[error("{0}")]
    NameTaken(Box<Report>),
    /// The Job cannot start.
    #[error("{0}")]
    JobStartup(Box<Report>),
    /// Another attempt owns the Job now; this one has to stop.
    #[error("{0}")]
    TakenOver(Box<Report>),
    /// A deletion was accepted but not seen to end.
    #[error("{0}")]
    DeletionUnconfirmed(Box<Report>),
    /// A fault of this package.
    #[error("{0}")]
    Internal(Box<Report>),
}

impl Error {
    /// The name of the class in `unique_k8s_job.exceptions`.
    #[must_use]
    pub fn class(&self) -> &'static str {
        match self {
            Self::Configuration(_) => "ConfigurationError",
            Self::InvalidManifest(_) => "InvalidManifestError",
            Self::ApiRefused(_) => "ApiRefusedError",
            Self::ApiUnreachable(_) => "ApiUnreachableError",
            Self::NameTaken(_) => "NameTakenError",
            Self::JobStartup(_) => "JobStartupError",
            Self::TakenOver(_) => "TakenOverError",
            Self::DeletionUnconfirmed(_) => "DeletionUnconfirmedError",
            Self::Internal(_) => "InternalError",
        }
    }

    /// The text and facts.
    #[must_use]
    pub fn report(&self) -> &Report {
        match self {
            Self::Configuration(report)
            | Self::InvalidManifest(report)
            | Self::ApiRefused(report)
            | Self::ApiUnreachable(report)
            | Self::NameTaken(report)
            | Self::JobStartup(report)
            | Self::TakenOver(report)
            | Self::DeletionUnconfirmed(report)
            | Self::Internal(report) => report,
        }
    }

    /// The same error with another report.
    #[must_use]
    pub fn with_report(mut self, change: impl FnOnce(Report) -> Report) -> Self {
        match &mut self {
            Self::Configuration(report)
            | Self::InvalidManifest(report)
            | Self::ApiRefused(report)
            | Self::ApiUnreachable(report)
            | Self::NameTaken(report)
            | Self::JobStartup(report)
            | Self::TakenOver(report)
            | Self::DeletionUnconfirmed(report)
            | Self::Internal(report) => **report = change(std::mem::take(&mut **report)),
        }
        self
    }

    /// The error for a tokio task of ours that panicked or was aborted. The text of a panic is not shown, because it
    /// may quote data of the task.
    #[must_use]
    pub fn lost(task: &tokio::task::JoinError) -> Self {
        Self::internal(if task.is_panic() { "a panic" } else { "a task was cancelled" })
    }

    /// The error for a fault of this package, with what is known of it.
    pub fn internal(what: impl Into<String>) -> Self {
        Self::Internal(Box::new(
            Report::new(format!("internal error: {}", what.into())).hint("please report this with the log"),
        ))
    }
}
