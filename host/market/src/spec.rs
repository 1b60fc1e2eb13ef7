//! What a developer submits, and what a machine must have to run it.

use std::collections::{BTreeMap, BTreeSet};

use anneal_job::{
    Blob, Digest, Identity, Limits, ParameterValue, PlanSpec, Price, RecordHasher, Redundancy, Versions,
};
use serde::{Deserialize, Serialize};

/// A job as it is submitted: everything its result depends on, and how it is to be run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobSpec {
    /// The component's file; its digest is the component's name.
    pub component: Blob,
    /// One safetensors file with all inputs, as the sandbox reads it; `None` where there are none.
    pub inputs_blob: Option<Blob>,
    /// The tensor digest of each input.
    pub inputs: BTreeMap<String, Digest>,
    /// The job's seed.
    pub seed: u64,
    /// How it unrolls.
    pub plan: PlanSpec,
    /// What the guest is told.
    pub parameters: BTreeMap<String, ParameterValue>,
    /// What each task may use.
    pub limits: Limits,
    /// Contract, numerics, gas.
    pub versions: Versions,
    /// How many operators must agree.
    pub redundancy: Redundancy,
    /// What a machine must have.
    pub requirements: JobRequirements,
    /// The most the developer pays for 10^9 gas.
    pub price_cap: Price,
    /// What the developer thinks that a task uses; for expected times until a task has been verified.
    pub gas_expected: Option<u64>,
    /// Providers that may take it; anybody where empty.
    pub allow: BTreeSet<Identity>,
    /// Shown to nobody else, and in the log under salted ids only.
    pub private: bool,
    /// Software GPUs may take it.
    pub test: bool,
    /// The developer's signature over the component's digest, as text: for providers, who check it. Here it is
    /// only kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_signature: Option<String>,
}

/// What a machine must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobRequirements {
    /// Bytes of the device's memory.
    pub memory_bytes: u64,
    /// Features by name, all of them.
    pub features: BTreeSet<String>,
    /// Gas per second, as measured on verified tasks.
    pub speed_gas_per_second: u64,
}

impl JobSpec {
    /// Whether its developer names who may work on it, and so vouches for them.
    pub fn has_own_list(&self) -> bool {
        !self.allow.is_empty()
    }

    /// The name of what is submitted: equal for equal jobs.
    pub fn digest(&self) -> Digest {
        let json = serde_json::to_vec(self).expect("a job holds nothing that JSON cannot");
        RecordHasher::new("anneal job spec 1").bytes(&json).finish()
    }
}
