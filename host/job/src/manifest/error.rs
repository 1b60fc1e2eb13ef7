//! What can be wrong with a manifest. Every message names line and key, and shows a line that works.

use thiserror::Error;

/// Why a text is no manifest.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// Not TOML.
    #[error("line {line}: {message}; this is no TOML (https://toml.io)")]
    Syntax {
        /// From 1.
        line: usize,
        /// What the parser missed.
        message: String,
    },
    /// A key that means nothing here.
    #[error("line {line}: unknown key `{key}`{}; known here: {}", did_you_mean(.nearest), .known.join(", "))]
    UnknownKey {
        /// From 1.
        line: usize,
        /// With the tables it is in.
        key: String,
        /// The known key that looks most like it.
        nearest: Option<String>,
        /// What may stand here.
        known: Vec<String>,
    },
    /// A value of another type, or out of its range.
    #[error("line {line}: `{key}` is {found}, but must be {expected}; for example `{example}`")]
    Value {
        /// From 1.
        line: usize,
        /// With the tables it is in.
        key: String,
        /// What was there.
        found: String,
        /// What may stand there.
        expected: String,
        /// A line that works.
        example: String,
    },
    /// A key that must be there.
    #[error("line {line}: `{key}` is missing: {expected}; for example `{example}`")]
    Missing {
        /// Where its table begins, from 1.
        line: usize,
        /// With the tables it is in.
        key: String,
        /// What it is.
        expected: String,
        /// A line that works.
        example: String,
    },
    /// A key that does not go with another.
    #[error("line {line}: `{key}` does not go with {with}; {advice}")]
    Conflict {
        /// From 1.
        line: usize,
        /// With the tables it is in.
        key: String,
        /// The other.
        with: String,
        /// What to do.
        advice: String,
    },
    /// A name that is none.
    #[error("line {line}: `{key}`: {reason}")]
    Name {
        /// From 1.
        line: usize,
        /// With the tables it is in.
        key: String,
        /// What a name is.
        reason: super::NameError,
    },
    /// More than a job may have.
    #[error("line {line}: {found} {what}, but at most {limit} are allowed")]
    TooMany {
        /// From 1.
        line: usize,
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// What no task may be told.
    #[error("line {line}: {reason}")]
    Parameters {
        /// Where they are given, from 1.
        line: usize,
        /// What is wrong with them.
        reason: crate::ParametersError,
    },
    /// Longer than any manifest.
    #[error("the manifest has {found} bytes, but at most {limit} are allowed: is it the right file?")]
    TooLong {
        /// Bytes.
        found: usize,
        /// Bytes.
        limit: usize,
    },
}

fn did_you_mean(nearest: &Option<String>) -> String {
    nearest.as_ref().map_or_else(String::new, |nearest| format!(" (did you mean `{nearest}`?)"))
}
