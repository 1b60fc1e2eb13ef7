//! Questions about finished plans: what a step reads and writes, and what is computed together.

use super::{Plan, Slot, Step, StepKind};

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
    /// Of each target, a sentence naming the operations that are computed together with it
    /// ([`crate::Executor::groups_of`]).
    pub fn groups(&self) -> Vec<String> {
        let mut writer: Vec<Option<&Step>> = vec![None; self.slots.len()];
        for step in &self.steps {
            for slot in step.kind.writes() {
                writer[slot] = Some(step);
            }
        }
        self.targets.iter().map(|&slot| Plan::group(writer[slot])).collect()
    }

    fn group(step: Option<&Step>) -> String {
        match step {
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
