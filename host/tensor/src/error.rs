//! What can go wrong while recording: the guest's mistake, or a limit of the task.

use thiserror::Error;

/// Why an operation was not recorded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The call was wrong; the guest hears it at its own line.
    #[error("{0}")]
    Call(CallError),
    /// The task has used up something; it ends.
    #[error("{0}")]
    Exhausted(Exhausted),
}

/// A wrong call.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{operation}: {message}")]
pub struct CallError {
    /// What kind of mistake.
    pub code: CallErrorCode,
    /// The operation, by its name in the contract.
    pub operation: &'static str,
    /// What was given, what was expected and what to do.
    pub message: String,
}

/// The kinds of mistakes a call can make; the contract's `error-code`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallErrorCode {
    /// Shapes do not fit each other or the operation.
    Shape,
    /// A dtype that the operation does not take.
    DType,
    /// A scalar argument, axis or length out of its range.
    Argument,
    /// A tensor over a limit of the contract.
    Limit,
    /// A gradient through an operation that has none.
    NoGradient,
    /// No input or state of that name.
    NotFound,
    /// A value that was read holds ±2^62.
    Overflow,
}

/// What a task has used up: deterministic, so an outcome like a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Exhausted {
    /// Logical bytes of live tensors.
    #[error(
        "the task's live tensors would hold {needed} bytes, over its limit of {limit}: drop handles, commit \
         earlier, use smaller batches, or raise limits.tensor-memory in job.toml"
    )]
    TensorBytes {
        /// Bytes that would be live.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// Operations recorded since the last commit.
    #[error(
        "more than {limit} operations were recorded since the last commit: call commit at the end of each step"
    )]
    StepNodes {
        /// The limit.
        limit: usize,
    },
    /// Tensors that are alive, over all commits.
    #[error(
        "more than {limit} tensors would be alive with the history that they need: drop handles, and commit \
         everything that lives on at the end of each step"
    )]
    LiveTensors {
        /// The limit.
        limit: u64,
    },
    /// Gas.
    #[error("the task used more than its {limit} gas: raise limits.gas in job.toml, or do less")]
    Gas {
        /// The limit.
        limit: u64,
    },
}

impl RecordError {
    /// A wrong call.
    pub fn call(code: CallErrorCode, operation: &'static str, message: impl Into<String>) -> RecordError {
        RecordError::Call(CallError { code, operation, message: message.into() })
    }
}

impl From<Exhausted> for RecordError {
    fn from(exhausted: Exhausted) -> RecordError {
        RecordError::Exhausted(exhausted)
    }
}
