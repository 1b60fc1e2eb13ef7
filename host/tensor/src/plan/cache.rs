//! Plans kept by the structure they were built for, so that a training's second step builds nothing.

use std::sync::Arc;

use super::{Arguments, Plan, recent::Recent, structure::Recording};
use crate::{Tensor, limits::STRUCTURES_MAX};

/// A bounded set of plans; the one that was not used for the longest time makes room.
#[derive(Debug)]
pub struct PlanCache {
    plans: Recent<Arc<Plan>>,
    built: u64,
}

/// How many plans a cache keeps unless told otherwise.
pub const PLANS_MAX: usize = 256;

const _: () = assert!(PLANS_MAX >= STRUCTURES_MAX, "what a task paid for is kept");

impl Default for PlanCache {
    fn default() -> PlanCache {
        PlanCache::new(PLANS_MAX)
    }
}

impl PlanCache {
    /// A cache of at most `plans_max` plans, at least one, and of [`crate::limits::STRUCTURE_WORDS_MAX`].
    pub fn new(plans_max: usize) -> PlanCache {
        PlanCache { plans: Recent::new(plans_max), built: 0 }
    }

    /// The plan for the targets and the arguments of this run.
    pub fn plan(&mut self, targets: &[Tensor]) -> (Arc<Plan>, Arguments) {
        let mut recording = Recording::of(targets);
        let arguments = std::mem::take(&mut recording.arguments);
        if let Some(plan) = self.plans.get(&recording.structure.key) {
            return (Arc::clone(plan), arguments);
        }
        let plan = Arc::new(Plan::of(&recording, arguments.scalars.len()));
        self.built += 1;
        self.plans.insert(recording.structure.key, Arc::clone(&plan));
        (plan, arguments)
    }

    /// Words of the keys that are kept.
    pub fn words(&self) -> usize {
        self.plans.words()
    }

    /// How many plans were built: a step that should reuse one must not raise it.
    pub fn built(&self) -> u64 {
        self.built
    }
}
