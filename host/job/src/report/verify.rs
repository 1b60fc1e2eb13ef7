//! `anneal verify`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::JobReport;
use crate::{Digest, Entry, Place};

/// `anneal verify`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct VerifyReport {
    /// The digest on which all backends agree; null where they do not.
    pub result: Option<Digest>,
    /// What was run.
    pub job: JobReport,
    /// Each backend and thread count.
    pub backends: Vec<BackendReport>,
    /// Where the first two that differ part ways; null where all agree.
    pub difference: Option<DifferenceReport>,
}

/// One backend's run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BackendReport {
    /// What ran it, as text.
    pub name: String,
    /// Its result digest; null where it did not finish.
    pub result: Option<Digest>,
    /// The digests of its tasks' results, in the plan's order.
    pub tasks: Vec<Digest>,
    /// Wall-clock time.
    pub seconds: f64,
}

/// Where two backends part ways.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DifferenceReport {
    /// The backend that is taken as right, as text.
    pub expected_by: String,
    /// The backend that differs, as text.
    pub found_by: String,
    /// The task's index in the plan.
    pub task: usize,
    /// The exported function.
    pub entry: Entry,
    /// Where it stands in training.
    pub place: Place,
    /// The expected digest of the task's result, or what became of it.
    pub expected: String,
    /// The digest found, or what became of it.
    pub found: String,
    /// The step (the commit) within the task, from 0; null where no commit differs when traced.
    pub step: Option<u64>,
    /// The operation; null where none differs when traced.
    pub operation: Option<OperationReport>,
    /// What is computed together where the difference vanishes once every operation is looked at.
    pub fused_group: Option<String>,
}

/// An operation whose output differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OperationReport {
    /// Its name in the contract.
    pub name: String,
    /// Its place among the operations of the step, from 0.
    pub index: usize,
    /// Its output's shape and dtype, and its inputs'.
    pub shapes: String,
    /// The expected digest of the output.
    pub expected: Digest,
    /// The digest found.
    pub found: Digest,
}
