//! From two machines that gave two results for a task to the operation whose output differs.
//!
//! First every commit of the task is digested on both, then every operation of the first step that differs.
//! Looking at an operation makes its output a target of its own, which undoes fusing: where the difference is
//! gone then, the fault is in what is computed together, and that is named.

use std::path::PathBuf;

use anneal_job::{Digest, PlannedTask, report::OperationReport};
use anneal_sandbox::{Event, Machine, StopFlag, Trace, TracedOperation, TracedStep};

use crate::{failure::Outcome, job::Job};

/// A task to be traced.
pub(super) struct Traced<'a> {
    pub job: &'a Job,
    pub stop: &'a StopFlag,
    pub task: &'a PlannedTask,
    pub states: &'a [PathBuf],
    pub digests: &'a [Digest],
}

/// What tracing found.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub step: Option<u64>,
    pub operation: Option<OperationReport>,
    pub fused_group: Option<String>,
}

/// What one traced attempt said.
#[derive(Debug, Default)]
struct Heard {
    steps: Vec<TracedStep>,
    operations: Vec<TracedOperation>,
}

impl Traced<'_> {
    /// Where the two machines part ways.
    pub(super) fn find(&self, right: &mut dyn Machine, other: &mut dyn Machine) -> Outcome<Found> {
        let commits = |machine: &mut dyn Machine| self.trace(machine, Trace::Steps);
        let (expected, found) = (commits(right)?, commits(other)?);
        let Some((step, tensor)) = first_step(&expected.steps, &found.steps) else {
            return Ok(Found::default());
        };
        let operations = |machine: &mut dyn Machine| self.trace(machine, Trace::Operations { step });
        let (expected, found) = (operations(right)?, operations(other)?);
        let operation = first_operation(&expected.operations, &found.operations);
        let fused_group = match operation {
            Some(_) => None,
            None => group(&found.steps, step, tensor),
        };
        Ok(Found { step: Some(step), operation, fused_group })
    }

    /// One traced attempt; how it ends does not matter, for a guest may fail of wrong numbers.
    fn trace(&self, machine: &mut dyn Machine, trace: Trace) -> Outcome<Heard> {
        let task = self.job.task(self.task, self.digests.to_vec());
        let mut request = self.job.attempt(task, self.states.to_vec(), None, self.stop);
        request.trace = trace;
        let mut heard = Heard::default();
        machine.attempt(&request, &mut |event: Event| match event {
            Event::TracedStep(step) => heard.steps.push(step),
            Event::TracedOperation(operation) => heard.operations.push(operation),
            _ => {}
        });
        Ok(heard)
    }
}

/// The first step that differs, and the place of its first tensor that does.
fn first_step(expected: &[TracedStep], found: &[TracedStep]) -> Option<(u64, usize)> {
    for (right, other) in expected.iter().zip(found) {
        let tensors = right.tensors.len().max(other.tensors.len());
        let digest = |step: &TracedStep, index: usize| step.tensors.get(index).map(|tensor| tensor.digest);
        if let Some(index) = (0..tensors).find(|&index| digest(right, index) != digest(other, index)) {
            return Some((right.step, index));
        }
    }
    // One went on where the other had ended: the guest saw other numbers after the last common step.
    let common = expected.len().min(found.len());
    expected.get(common).or(found.get(common)).map(|step| (step.step, 0))
}

fn first_operation(expected: &[TracedOperation], found: &[TracedOperation]) -> Option<OperationReport> {
    let mut pairs = expected.iter().zip(found).enumerate();
    let (index, (right, other)) = pairs.find(|(_, (right, other))| right.digest != other.digest)?;
    let name = if right.label == right.operation {
        right.label.clone()
    } else {
        format!("{} (in {})", right.operation, right.label)
    };
    Some(OperationReport {
        name,
        index,
        shapes: right.shapes.clone(),
        expected: right.digest,
        found: other.digest,
    })
}

/// What is computed together with a tensor of a step when nothing is traced.
fn group(steps: &[TracedStep], step: u64, tensor: usize) -> Option<String> {
    let tensors = &steps.iter().find(|traced| traced.step == step)?.tensors;
    tensors.get(tensor).or(tensors.first())?.group.clone()
}

#[cfg(test)]
mod tests {
    use anneal_sandbox::TracedTensor;

    use super::*;

    fn step(step: u64, values: &[u8]) -> TracedStep {
        let tensor = |value: &u8| TracedTensor {
            label: "sum".to_owned(),
            dtype: "f32".to_owned(),
            shape: vec![2],
            digest: Digest::of(&[*value]),
            group: Some(format!("sum and {value}")),
        };
        TracedStep { step, tensors: values.iter().map(tensor).collect() }
    }

    fn operation(name: &str, value: u8) -> TracedOperation {
        TracedOperation {
            step: 0,
            sequence: 0,
            label: "softmax".to_owned(),
            operation: name.to_owned(),
            shapes: "f32 [2]".to_owned(),
            digest: Digest::of(&[value]),
        }
    }

    #[test]
    fn the_first_difference_is_found() {
        let right = [step(0, &[1, 2]), step(1, &[3, 4]), step(2, &[5])];
        assert_eq!(first_step(&right, &right), None);
        assert_eq!(first_step(&right, &[step(0, &[1, 2]), step(1, &[3, 9]), step(2, &[9])]), Some((1, 1)));
        assert_eq!(first_step(&right, &right[..2]), Some((2, 0)));
        assert_eq!(group(&right, 1, 1), Some("sum and 4".to_owned()));
        assert_eq!(group(&right, 7, 0), None);
    }

    #[test]
    fn the_operation_is_named_with_what_it_is_part_of() {
        let found = first_operation(
            &[operation("exp", 1), operation("sum", 2)],
            &[operation("exp", 1), operation("sum", 3)],
        );
        let found = found.expect("they differ");
        assert_eq!((found.name.as_str(), found.index), ("sum (in softmax)", 1));
        assert_eq!(first_operation(&[operation("exp", 1)], &[operation("exp", 1)]), None);
    }
}
