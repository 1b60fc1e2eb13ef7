//! Plans kept by the structure they were built for, so that a training's second step builds nothing.

use std::{collections::HashMap, sync::Arc};

use super::{Arguments, Plan, structure::Recording};
use crate::Tensor;

/// A bounded set of plans; the one that was not used for the longest time makes room.
#[derive(Debug)]
pub struct PlanCache {
    plans: HashMap<u64, Entry>,
    plans_max: usize,
    /// Words of all keys.
    words: usize,
    clock: u64,
    built: u64,
}

#[derive(Debug)]
struct Entry {
    key: Vec<u64>,
    plan: Arc<Plan>,
    used: u64,
}

/// How many plans a cache keeps unless told otherwise.
pub const PLANS_MAX: usize = 256;
/// Words of the keys of all plans that are kept, about twelve an operation: a plan's own size goes with its key's.
pub const KEY_WORDS_MAX: usize = 1 << 21;

impl Default for PlanCache {
    fn default() -> PlanCache {
        PlanCache::new(PLANS_MAX)
    }
}

impl PlanCache {
    /// A cache of at most `plans_max` plans, at least one.
    pub fn new(plans_max: usize) -> PlanCache {
        PlanCache { plans: HashMap::new(), plans_max: plans_max.max(1), words: 0, clock: 0, built: 0 }
    }

    /// The plan for the targets and the arguments of this run.
    pub fn plan(&mut self, targets: &[Tensor]) -> (Arc<Plan>, Arguments) {
        let mut recording = Recording::of(targets);
        let arguments = std::mem::take(&mut recording.arguments);
        let hash = hash(&recording.key);
        self.clock += 1;
        match self.plans.get_mut(&hash) {
            Some(entry) if entry.key == recording.key => {
                entry.used = self.clock;
                return (Arc::clone(&entry.plan), arguments);
            }
            _ => {}
        }
        let plan = Arc::new(Plan::of(&recording, arguments.scalars.len()));
        self.built += 1;
        // Two structures with one hash take turns: slower, never wrong.
        self.remove(hash);
        self.words += recording.key.len();
        while self.plans.len() >= self.plans_max || (self.words > KEY_WORDS_MAX && !self.plans.is_empty()) {
            let oldest = self.plans.iter().min_by_key(|(_, entry)| entry.used).map(|(&hash, _)| hash);
            oldest.into_iter().for_each(|hash| self.remove(hash));
        }
        let entry = Entry { key: recording.key, plan: Arc::clone(&plan), used: self.clock };
        self.plans.insert(hash, entry);
        (plan, arguments)
    }

    fn remove(&mut self, hash: u64) {
        if let Some(entry) = self.plans.remove(&hash) {
            self.words -= entry.key.len();
        }
    }

    /// Words of the keys that are kept.
    pub fn words(&self) -> usize {
        self.words
    }

    /// How many plans were built: a step that should reuse one must not raise it.
    pub fn built(&self) -> u64 {
        self.built
    }
}

fn hash(key: &[u64]) -> u64 {
    key.iter().fold(key.len() as u64, |hash, &word| {
        let mixed = (hash ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93);
        mixed.rotate_left(29) ^ mixed >> 32
    })
}
