//! Why a command was not accepted. It has changed nothing.

use anneal_job::{Credits, Digest, Price, Span};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a command was not accepted; [`Rejection::code`] is for programs, the sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Error, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the sentences say what the fields are")]
pub enum Rejection {
    #[error("this key is no provider here: run `anneal setup` to enrol it")]
    UnknownProvider,
    #[error("this provider has no device {device}: register it first")]
    UnknownDevice { device: u32 },
    #[error("there is no job of yours with this id: `anneal jobs` lists them")]
    UnknownJob,
    #[error("there is no such attempt any more, or it is another provider's: drop it and ask for a lease")]
    UnknownAttempt,
    #[error("there is no such replay any more: its answer is not needed")]
    UnknownReplay,
    #[error("this job was submitted before: choose another nonce to run it again")]
    JobExists,
    #[error("the job is {state}: {advice}")]
    JobState { state: String, advice: String },
    #[error("{what} is {found}, but at most {limit} is allowed: make it smaller")]
    TooMany { what: String, found: u64, limit: u64 },
    #[error("{what}: {advice}")]
    BadSpec { what: String, advice: String },
    #[error("{needed} are needed and {available} are there: add funds, lower the cap or the limit of gas")]
    InsufficientFunds { needed: Credits, available: Credits },
    #[error("the cap of {cap} is below the network's lowest price, {lowest}: raise it")]
    PriceCapTooLow { cap: Price, lowest: Price },
    #[error("the device has not passed the selftest of this contract: run `anneal selftest`")]
    NotSelftested,
    #[error("the provider is paused: {reason}")]
    ProviderPaused { reason: String },
    #[error("wait {wait} before that: the provider failed just now")]
    Backoff { wait: Span },
    #[error("this attempt has committed to {committed}: a commitment cannot be changed")]
    CommitmentChanged { committed: Digest },
    #[error("this lease has ended, and the task can be judged without it: drop it and ask for a lease")]
    LeaseEnded,
    #[error("attempts on this task can still open: wait until the receipt is asked for")]
    RevealTooEarly,
    #[error("receipt and nonce give {found}, but {committed} was committed: send what was committed to")]
    CommitmentMismatch { committed: Digest, found: Digest },
    #[error("an appeal takes {needed} valid attempts, and this key has {matched}: work on")]
    AppealTooEarly { matched: u64, needed: u64 },
    #[error("no trace of this attempt at this level is asked for: nothing is to be done")]
    NoTraceAsked,
    #[error("no epoch of draws has begun: the service must begin one before the first job")]
    NoEpoch,
    #[error("this account cannot be set: only available funds and stakes can")]
    AccountNotSettable,
    #[error("the amounts would be more than can be counted: use smaller ones")]
    AmountOverflow,
}

impl Rejection {
    /// The stable name of the kind, as it is serialised: `unknown-provider` and so on.
    pub fn code(&self) -> &'static str {
        match self {
            Rejection::UnknownProvider => "unknown-provider",
            Rejection::UnknownDevice { .. } => "unknown-device",
            Rejection::UnknownJob => "unknown-job",
            Rejection::UnknownAttempt => "unknown-attempt",
            Rejection::UnknownReplay => "unknown-replay",
            Rejection::JobExists => "job-exists",
            Rejection::JobState { .. } => "job-state",
            Rejection::TooMany { .. } => "too-many",
            Rejection::BadSpec { .. } => "bad-spec",
            Rejection::InsufficientFunds { .. } => "insufficient-funds",
            Rejection::PriceCapTooLow { .. } => "price-cap-too-low",
            Rejection::NotSelftested => "not-selftested",
            Rejection::ProviderPaused { .. } => "provider-paused",
            Rejection::Backoff { .. } => "backoff",
            Rejection::CommitmentChanged { .. } => "commitment-changed",
            Rejection::LeaseEnded => "lease-ended",
            Rejection::RevealTooEarly => "reveal-too-early",
            Rejection::CommitmentMismatch { .. } => "commitment-mismatch",
            Rejection::AppealTooEarly { .. } => "appeal-too-early",
            Rejection::NoTraceAsked => "no-trace-asked",
            Rejection::NoEpoch => "no-epoch",
            Rejection::AccountNotSettable => "account-not-settable",
            Rejection::AmountOverflow => "amount-overflow",
        }
    }
}
