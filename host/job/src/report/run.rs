//! `anneal run`: also the content of `result.json`, from which `--resume` continues.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::DeviceReport;
use crate::{Digest, Entry, Limits, Metric, ParameterValue, Place, PlanSpec, RecordHasher, TaskId, Versions};

/// A run of a job, finished or not.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunReport {
    /// "The hash": over the results of all tasks; null until the last one has finished.
    pub result: Option<Digest>,
    /// The last value of each metric.
    pub metrics: BTreeMap<String, f64>,
    /// The digest of the last state.
    pub state: Option<Digest>,
    /// What was run.
    pub job: JobReport,
    /// Finished tasks, in the plan's order.
    pub tasks: Vec<TaskReport>,
    /// Tasks of the plan.
    pub tasks_planned: usize,
    /// Gas of all finished tasks.
    pub gas: u64,
    /// Where tensors were computed; no digest covers it.
    pub device: DeviceReport,
    /// Wall-clock time of all finished tasks; no digest covers it.
    pub seconds: f64,
    /// The directory with the states; null where none was kept.
    pub out: Option<String>,
}

/// Everything a run's result depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobReport {
    /// The component's bytes.
    pub component: Digest,
    /// The job's seed.
    pub seed: u64,
    /// How it unrolls.
    pub plan: PlanSpec,
    /// What the guest was told.
    pub parameters: BTreeMap<String, ParameterValue>,
    /// Its inputs, as canonical tensors.
    pub inputs: BTreeMap<String, InputReport>,
    /// For a single entry on a given state: the entry, and that state's digest.
    pub entry: Option<(Entry, Digest)>,
    /// What each task might use.
    pub limits: Limits,
    /// Contract, numerics, gas.
    pub versions: Versions,
}

/// An input tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputReport {
    /// Its tensor digest.
    pub digest: Digest,
    /// Its element type.
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<usize>,
}

/// A finished task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskReport {
    /// Its name: the digest of all that it depends on.
    pub id: TaskId,
    /// The exported function.
    pub entry: Entry,
    /// Where it stands in training.
    pub place: Place,
    /// Its own parameters in a map.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, ParameterValue>,
    /// Its result digest: state and metrics.
    pub result: Digest,
    /// The digest of the state it left.
    pub state: Digest,
    /// The state's file in the out directory; null where it was not kept.
    pub file: Option<String>,
    /// In the order they were reported.
    pub metrics: Vec<Metric>,
    /// Gas it used.
    pub gas: u64,
    /// Commits.
    pub steps: u64,
    /// Wall-clock time; no digest covers it.
    pub seconds: f64,
}

impl JobReport {
    /// The name of the run: equal for equal jobs.
    pub fn digest(&self) -> Digest {
        let json = serde_json::to_vec(self).expect("a job report holds nothing that JSON cannot");
        RecordHasher::new("anneal job 1").bytes(&json).finish()
    }

    /// What differs from another job, as a sentence part; `None` where they are one job.
    pub fn difference(&self, other: &JobReport) -> Option<String> {
        if self.component != other.component {
            return Some("the component".to_owned());
        }
        if self.seed != other.seed {
            return Some(format!("the seed ({} and {})", self.seed, other.seed));
        }
        if let Some(name) = first_difference(&self.parameters, &other.parameters) {
            return Some(format!("the parameter `{name}`"));
        }
        if let Some(name) = first_difference(&self.inputs, &other.inputs) {
            return Some(format!("the input `{name}`"));
        }
        if self.plan != other.plan {
            return Some("the plan".to_owned());
        }
        if self.limits != other.limits {
            return Some("the limits".to_owned());
        }
        if self.versions != other.versions {
            return Some("the version of contract, numerics or gas".to_owned());
        }
        (self != other).then(|| "the entry".to_owned())
    }
}

fn first_difference<'a, T: PartialEq>(
    a: &'a BTreeMap<String, T>,
    b: &'a BTreeMap<String, T>,
) -> Option<&'a String> {
    a.keys().chain(b.keys()).find(|name| a.get(*name) != b.get(*name))
}
