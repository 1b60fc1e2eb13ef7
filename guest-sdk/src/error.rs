//! What can go wrong: [`Error`] is the contract's answer to one call, [`Failure`] ends the job.

use std::fmt;

use crate::bindings::tensors as raw;

/// Which kind of mistake a call made.
pub use raw::ErrorCode;

/// The result of a job's functions.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// What one call got wrong.
#[derive(Clone)]
pub struct Error {
    /// The kind of mistake, for a program to decide on.
    pub code: ErrorCode,
    /// A sentence for the developer: what was given, what was expected, what to do.
    pub message: String,
}

impl Error {
    /// An `argument` error with this sentence.
    pub fn argument(message: impl Into<String>) -> Error {
        Error { code: ErrorCode::Argument, message: message.into() }
    }
}

impl From<raw::Error> for Error {
    fn from(error: raw::Error) -> Error {
        Error { code: error.code, message: error.message }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Why a job failed: one sentence that its developer reads. It is deterministic, like every result.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    /// A failure with this sentence: say what was found, what was expected, and what to do.
    pub fn new(message: impl Into<String>) -> Failure {
        Failure(message.into())
    }

    /// The sentence.
    pub fn message(&self) -> &str {
        &self.0
    }

    /// The sentence, with what was being done in front of it.
    pub fn context(self, doing: impl fmt::Display) -> Failure {
        Failure(format!("{doing}: {}", self.0))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure(error.message)
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Failure {
        Failure(message)
    }
}

impl From<&str> for Failure {
    fn from(message: &str) -> Failure {
        Failure(message.to_owned())
    }
}

/// The value, or a panic at the caller with the error's sentence.
#[track_caller]
pub(crate) fn expect<T>(result: std::result::Result<T, Error>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{}", error.message),
    }
}
