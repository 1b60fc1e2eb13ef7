//! The shape of `job.toml` for editors: types that exist for their JSON Schema. The reader is `manifest`.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, schema_for};

use super::{BackendChoice, InputFormat};
use crate::{ByteCount, ParameterValue, Redundancy};

pub(super) const ROOT_KEYS: &[&str] =
    &["component", "seed", "redundancy", "plan", "inputs", "parameters", "limits", "requirements"];
pub(super) const PLAN_KEYS: &[&str] = &["kind", "segments", "workers", "over"];
pub(super) const INPUT_KEYS: &[&str] = &["path", "format"];
pub(super) const LIMITS_KEYS: &[&str] = &["gas", "memory", "tensor-memory", "handles"];
pub(super) const REQUIREMENTS_KEYS: &[&str] = &["backend", "device-memory"];

/// The manifest of an Anneal job.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct JobFile {
    /// The compiled component, relative to this file. Without it, this file's directory is built with cargo.
    pub component: Option<String>,
    /// The job's seed: every random number follows from it. 0 where nothing is said.
    pub seed: Option<u64>,
    /// On a network: how many operators' machines must agree on each task. `adaptive` where nothing is said.
    pub redundancy: Option<Redundancy>,
    /// How the job unrolls into tasks. Without it: `train` for the world `training`, else `single`.
    pub plan: Option<PlanTable>,
    /// Input files by the names the guest asks for: a path, or a table with path and format.
    pub inputs: Option<BTreeMap<String, InputEntry>>,
    /// Values the guest is given by name.
    pub parameters: Option<BTreeMap<String, ParameterValue>>,
    /// What each task may use.
    pub limits: Option<LimitsTable>,
    /// What the machine must have.
    pub requirements: Option<RequirementsTable>,
}

/// How the job unrolls into tasks.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PlanTable {
    /// `single`: one call of `run`. `train`: init, segments, evaluate. `map`: `run` once per parameter set.
    pub kind: PlanKind,
    /// For `train`: how many segments; with several workers, how many rounds.
    #[schemars(range(min = 1, max = 100_000))]
    pub segments: Option<u32>,
    /// For `train`: how many workers train side by side; after each round they are merged.
    #[schemars(range(min = 1, max = 64))]
    pub workers: Option<u32>,
    /// For `map`: parameters with their values; one task for every combination.
    pub over: Option<BTreeMap<String, Vec<ParameterValue>>>,
}

/// The kinds of plan.
#[derive(JsonSchema)]
#[schemars(rename_all = "lowercase")]
pub enum PlanKind {
    /// One call of `run`.
    Single,
    /// Init, segments, evaluate.
    Train,
    /// `run` once per parameter set.
    Map,
}

/// An input: its path, or more.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum InputEntry {
    /// The file, relative to the manifest.
    Path(String),
    /// The file and how to read it.
    Table(InputTable),
}

/// A file and how to read it.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct InputTable {
    /// The file, relative to the manifest.
    pub path: String,
    /// How to read it; by the name's ending where nothing is said.
    pub format: Option<InputFormat>,
}

/// What each task may use. Part of the task's identity.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LimitsTable {
    /// Gas: instructions and tensor operations.
    pub gas: Option<u64>,
    /// The guest's linear memory.
    pub memory: Option<ByteCount>,
    /// Live tensors, counted logically.
    pub tensor_memory: Option<ByteCount>,
    /// Live tensor handles.
    pub handles: Option<u32>,
}

/// What the machine must have. No part of the task's identity.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RequirementsTable {
    /// Where tensors may be computed.
    pub backend: Option<BackendChoice>,
    /// Memory that a GPU must have.
    pub device_memory: Option<ByteCount>,
}

/// The JSON Schema of `job.toml`.
pub fn schema() -> Schema {
    schema_for!(JobFile)
}
