//! What the command line says to programs: `result.json` and the object that `--json` prints.
//!
//! Seconds and devices are told, but no digest covers them. Not the words for people: those are the cli's.

mod component;
mod machine;
mod run;
mod verify;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use component::{BuildReport, ComponentReport, InspectReport, NewReport};
pub use machine::{DeviceReport, DevicesReport, SelftestBackend, SelftestReport};
pub use run::{InputReport, JobReport, RunReport, TaskReport};
pub use verify::{BackendReport, DifferenceReport, OperationReport, VerifyReport};

/// The one object that a command prints with `--json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope<T> {
    /// The command: `run`, `verify` …
    pub command: String,
    /// The version of `anneal`.
    pub anneal: String,
    /// What went wrong; null where nothing did.
    pub error: Option<ErrorReport>,
    /// The command's own fields; where it failed early, there are none.
    #[serde(flatten)]
    pub report: Option<T>,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorReport {
    /// Whose it is.
    pub kind: ErrorKind,
    /// The code of a guest's failure or a host's fault (`panic`, `gas`, `time-out` …).
    pub code: Option<String>,
    /// What happened, where, and what to do.
    pub message: String,
}

/// Whose an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorKind {
    /// The command line, a manifest, a file: exit status 2.
    BadInput,
    /// The job failed, as it will on every machine: exit status 1.
    JobFailed,
    /// Two backends gave two results: exit status 1.
    Different,
    /// A log or a verdict does not hold: exit status 1.
    DoesNotHold,
    /// This machine failed: exit status 1, and trying again may help.
    HostFault,
    /// A coordinator cannot be reached: exit status 1, and trying again may help.
    Network,
    /// Ctrl-C: exit status 1; finished segments are kept.
    Interrupted,
}
