//! A task: everything its outcome depends on, and its name. Pure data; the sandbox runs it.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Digest, Limits, RecordHasher};

/// A pure function application: component, entry, parameters, seed, inputs and states, with every limit and
/// version that its outcome depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Task {
    /// The component's bytes.
    pub component: Digest,
    /// The exported function.
    pub entry: Entry,
    /// Where it stands in the job's plan.
    pub place: Place,
    /// The job's seed; the task's own is [`Task::seed`].
    pub job_seed: u64,
    /// The manifest's parameters.
    pub parameters: BTreeMap<String, ParameterValue>,
    /// The tensor digest of each input.
    pub inputs: BTreeMap<String, Digest>,
    /// The state digests it starts from: none for init and run, one for train and evaluate, one per worker
    /// for merge.
    pub states: Vec<Digest>,
    /// What it may use.
    pub limits: Limits,
    /// The versions of what it is defined by.
    pub versions: Versions,
}

/// The exported functions of both worlds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Entry {
    /// World `training`: the first state.
    Init,
    /// World `training`: one segment.
    Train,
    /// World `training`: one state of many workers'.
    Merge,
    /// World `training`: how good a state is.
    Evaluate,
    /// World `function`: the whole of the work.
    Run,
}

/// Where a task stands in its job's plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Place {
    /// The round of a data-parallel plan, from 0; the segment where there is one worker.
    pub round: u32,
    /// The segment, from 0.
    pub segment: u32,
    /// How many segments the plan has.
    pub segments: u32,
    /// The worker within the round, from 0.
    pub worker: u32,
    /// How many workers a round has.
    pub workers: u32,
}

/// A parameter of the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ParameterValue {
    /// true or false.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A finite number.
    Number(f64),
    /// A text.
    Text(String),
}

/// The versions that an outcome depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Versions {
    /// The guest contract, as major, minor, patch.
    pub contract: [u32; 3],
    /// The canonical numerics.
    pub numerics: u32,
    /// The gas table: operations and instructions.
    pub gas: u32,
}

/// The name of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct TaskId(pub Digest);

impl Entry {
    /// The name of the exported function.
    pub const fn name(self) -> &'static str {
        match self {
            Entry::Init => "init",
            Entry::Train => "train",
            Entry::Merge => "merge",
            Entry::Evaluate => "evaluate",
            Entry::Run => "run",
        }
    }
}

impl Task {
    /// The digest of everything the outcome depends on.
    pub fn id(&self) -> TaskId {
        let mut hasher = RecordHasher::new("anneal task 1");
        hasher.bytes(self.component.as_bytes()).bytes(self.entry.name().as_bytes());
        let Place { round, segment, segments, worker, workers } = self.place;
        for number in [round, segment, segments, worker, workers] {
            hasher.number(u64::from(number));
        }
        hasher.number(self.job_seed);
        hasher.number(self.parameters.len() as u64);
        for (name, value) in &self.parameters {
            hasher.bytes(name.as_bytes()).bytes(&value.encode());
        }
        hasher.number(self.inputs.len() as u64);
        for (name, digest) in &self.inputs {
            hasher.bytes(name.as_bytes()).bytes(digest.as_bytes());
        }
        hasher.number(self.states.len() as u64);
        for state in &self.states {
            hasher.bytes(state.as_bytes());
        }
        self.limits.add_to(&mut hasher);
        let Versions { contract, numerics, gas } = self.versions;
        for number in contract.into_iter().chain([numerics, gas]) {
            hasher.number(u64::from(number));
        }
        TaskId(hasher.finish())
    }

    /// The seed of the task's random numbers: the first 64 bits (little-endian) of SHA-256 over job seed,
    /// entry, round, segment and worker (rule 10 of the numerics).
    pub fn seed(&self) -> u64 {
        let mut hasher = RecordHasher::new("anneal seed 1");
        hasher.number(self.job_seed).bytes(self.entry.name().as_bytes());
        for number in [self.place.round, self.place.segment, self.place.worker] {
            hasher.number(u64::from(number));
        }
        let digest = hasher.finish();
        u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("a digest has 32 bytes"))
    }
}

impl ParameterValue {
    fn encode(&self) -> Vec<u8> {
        match self {
            ParameterValue::Boolean(value) => vec![b'b', u8::from(*value)],
            ParameterValue::Integer(value) => [b"i", &value.to_le_bytes()[..]].concat(),
            ParameterValue::Number(value) => [b"n", &value.to_bits().to_le_bytes()[..]].concat(),
            ParameterValue::Text(value) => [b"t", value.as_bytes()].concat(),
        }
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Versions { contract: [major, minor, patch], numerics, gas } = self;
        write!(f, "contract {major}.{minor}.{patch}, numerics {numerics} and gas {gas}")
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
