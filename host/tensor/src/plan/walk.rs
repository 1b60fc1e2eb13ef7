//! Questions about finished plans: what a step reads and writes, and what is computed together.

use super::{Plan, Slot, StepKind};

impl StepKind {
    /// The slots it reads, each once.
    pub fn reads(&self) -> Vec<Slot> {
        let mut slots = match self {
            StepKind::Map(map) => map.loads.iter().map(|(view, _)| view.slot).collect(),
            StepKind::Reduce(reduce) => vec![reduce.x.slot],
            StepKind::ArgReduce(reduce) => vec![reduce.x.slot],
            StepKind::Contract(contract) => vec![contract.a.slot, contract.b.slot],
            StepKind::Fold(fold) => vec![fold.windows.slot],
            StepKind::Gather(gather) => vec![gather.x.slot, gather.indices.slot],
            StepKind::ScatterAdd(scatter) => {
                vec![scatter.base.slot, scatter.indices.slot, scatter.source.slot]
            }
        };
        slots.sort_unstable();
        slots.dedup();
        slots
    }

    /// The slots it writes (all or a part of), each once.
    pub fn writes(&self) -> Vec<Slot> {
        match self {
            StepKind::Map(map) => {
                let mut slots: Vec<Slot> = map.stores.iter().map(|(_, view)| view.slot).collect();
                slots.sort_unstable();
                slots.dedup();
                slots
            }
            StepKind::Reduce(reduce) => vec![reduce.out],
            StepKind::ArgReduce(reduce) => vec![reduce.out],
            StepKind::Contract(contract) => vec![contract.out],
            StepKind::Fold(fold) => vec![fold.out],
            StepKind::Gather(gather) => vec![gather.out],
            StepKind::ScatterAdd(scatter) => vec![scatter.out],
        }
    }
}

impl Plan {
    /// A sentence naming the operations that are computed together with a target
    /// ([`crate::Executor::group_of`]).
    pub fn group_of(&self, target: usize) -> String {
        let slot = self.targets[target];
        match self.steps.iter().rfind(|step| step.kind.writes().contains(&slot)) {
            Some(step) if step.operations.len() > 1 => {
                format!(
                    "{} operations are computed in one pass: {}",
                    step.operations.len(),
                    list(&step.operations)
                )
            }
            Some(step) => format!("{} is computed in a pass of its own", step.operations[0]),
            None => "the value was given, nothing is computed".to_owned(),
        }
    }
}

fn list(names: &[&str]) -> String {
    match names {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => names.concat(),
    }
}
