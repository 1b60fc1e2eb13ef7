//! How a job unrolls into tasks: pure arithmetic over indices. What a task depends on is only ever earlier.
//!
//! - `single`: one `run`.
//! - `train` with one worker: `init`, each segment's `train` from the state before it, `evaluate` of the
//!   last.
//! - `train` with W workers: in each round, W `train` tasks from the round's start and one `merge` of their
//!   states; a round is one segment per worker, so there are as many rounds as segments.
//! - `map`: one `run` per combination of the values in `over`, names ascending, the last varying fastest.
//!   Each is the very task that `single` would be with these parameters, so it keeps its name (and its cached
//!   result) when other combinations come and go.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Digest, Entry, ParameterValue, Place, RecordHasher};

/// Segments of a plan.
pub const SEGMENTS_MAX: u32 = 100_000;
/// Workers of a round.
pub const WORKERS_MAX: u32 = 64;
/// Tasks of a map.
pub const MAP_TASKS_MAX: usize = 10_000;

/// How a job unrolls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum PlanSpec {
    /// One call of `run`.
    Single,
    /// Init, segments (a round of workers and a merge where there are several), evaluate.
    Train {
        /// 1 to [`SEGMENTS_MAX`]; the rounds, where there are several workers.
        segments: u32,
        /// 1 to [`WORKERS_MAX`].
        workers: u32,
    },
    /// `run` once per combination.
    Map {
        /// Parameters and the values they take, none of them empty.
        over: BTreeMap<String, Vec<ParameterValue>>,
    },
}

/// A task of a plan, before anything has run.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedTask {
    /// Where it stands in the plan, from 0.
    pub index: usize,
    /// The exported function.
    pub entry: Entry,
    /// Where it stands in training.
    pub place: Place,
    /// The earlier tasks whose states it starts from, in order.
    pub states: Vec<usize>,
    /// Parameters of its own, over the manifest's.
    pub parameters: BTreeMap<String, ParameterValue>,
}

/// A plan that no job may have.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Over a limit.
    #[error("{what} is {found}, but at most {limit} is allowed")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// Nothing to do.
    #[error("the plan has no task: {advice}")]
    NoTask {
        /// What to do.
        advice: &'static str,
    },
}

impl PlanSpec {
    /// The plan is one that a job may have, whoever made it. What it varies is [`crate::check_parameters`]'s.
    ///
    /// # Errors
    /// Where there is nothing to do, or too much.
    pub fn check(&self) -> Result<(), PlanError> {
        let at_most = |what, found, limit| match found > limit {
            true => Err(PlanError::TooMany { what, found, limit }),
            false => Ok(()),
        };
        match self {
            PlanSpec::Single => Ok(()),
            PlanSpec::Train { segments, workers } => {
                at_most("the number of segments", *segments as usize, SEGMENTS_MAX as usize)?;
                at_most("the number of workers", *workers as usize, WORKERS_MAX as usize)?;
                match (segments, workers) {
                    (0, _) | (_, 0) => {
                        Err(PlanError::NoTask { advice: "train with at least one segment and one worker" })
                    }
                    _ => Ok(()),
                }
            }
            PlanSpec::Map { over } => {
                at_most("the number of tasks", self.task_count(), MAP_TASKS_MAX)?;
                match over.is_empty() || over.values().any(Vec::is_empty) {
                    true => {
                        let advice = "give every parameter of the map at least one value";
                        Err(PlanError::NoTask { advice })
                    }
                    false => Ok(()),
                }
            }
        }
    }

    /// How many tasks there are.
    pub fn task_count(&self) -> usize {
        match self {
            PlanSpec::Single => 1,
            PlanSpec::Train { segments, workers } => 2 + *segments as usize * round_tasks(*workers),
            PlanSpec::Map { over } => {
                over.values().fold(1usize, |count, values| count.saturating_mul(values.len()))
            }
        }
    }

    /// The tasks in an order in which they can run.
    pub fn unroll(&self) -> impl Iterator<Item = PlannedTask> {
        (0..self.task_count()).map(|index| self.task(index).expect("every index below the count is a task"))
    }

    /// The task at an index, where there is one.
    pub fn task(&self, index: usize) -> Option<PlannedTask> {
        if index >= self.task_count() {
            return None;
        }
        Some(match self {
            PlanSpec::Single => run(index, BTreeMap::new()),
            PlanSpec::Train { segments, workers } => train(index, *segments, *workers),
            PlanSpec::Map { over } => run(index, combination(over, index)),
        })
    }
}

/// The digest of a job's result: its tasks' results in the plan's order; a single task's own where there is
/// but one.
pub fn job_result(results: &[Digest]) -> Digest {
    if let [only] = results {
        return *only;
    }
    let mut hasher = RecordHasher::new("anneal job result 1");
    for result in results {
        hasher.bytes(result.as_bytes());
    }
    hasher.finish()
}

/// The place of a task that stands alone: of `run`, and of init.
pub const fn place_alone() -> Place {
    Place { round: 0, segment: 0, segments: 1, worker: 0, workers: 1 }
}

fn run(index: usize, parameters: BTreeMap<String, ParameterValue>) -> PlannedTask {
    PlannedTask { index, entry: Entry::Run, place: place_alone(), states: Vec::new(), parameters }
}

/// The tasks of a round: its workers, and a merge where there are several.
const fn round_tasks(workers: u32) -> usize {
    workers as usize + (workers > 1) as usize
}

fn train(index: usize, segments: u32, workers: u32) -> PlannedTask {
    let per_round = round_tasks(workers);
    // The first task of a round comes after init; the last of the round before it holds the round's start.
    let last_index = 1 + segments as usize * per_round;
    let (entry, round, worker, states) = if index == 0 {
        (Entry::Init, 0, 0, Vec::new())
    } else if index == last_index {
        (Entry::Evaluate, segments.saturating_sub(1), 0, vec![index - 1])
    } else {
        let (round, position) = ((index - 1) / per_round, (index - 1) % per_round);
        let start = round * per_round;
        if position == workers as usize {
            (Entry::Merge, round as u32, 0, (start + 1..=start + position).collect())
        } else {
            (Entry::Train, round as u32, position as u32, vec![start])
        }
    };
    let place = Place { round, segment: round, segments, worker, workers };
    PlannedTask { index, entry, place, states, parameters: BTreeMap::new() }
}

fn combination(
    over: &BTreeMap<String, Vec<ParameterValue>>,
    mut index: usize,
) -> BTreeMap<String, ParameterValue> {
    let mut parameters = BTreeMap::new();
    for (name, values) in over.iter().rev() {
        parameters.insert(name.clone(), values[index % values.len()].clone());
        index /= values.len();
    }
    parameters
}

#[cfg(test)]
mod tests;
