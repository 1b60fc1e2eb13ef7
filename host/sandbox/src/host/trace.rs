//! Evaluation, and its traces: digests of what a commit, or every operation of a step, computed.
//!
//! Tracing asks for more values than the guest did; it changes no bit unless a backend is broken, which is
//! what it is for.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use anneal_tensor::{Elements, Op, Tensor, Value, reachable};

use super::{Host, Refusal};
use crate::{
    ending::Ending,
    event::{Event, Trace, TracedOperation, TracedStep, TracedTensor},
    state::elements_digest,
};

impl Host {
    /// The elements of a tensor, evaluated now if they were not before.
    pub(crate) fn elements(&mut self, tensor: &Tensor) -> Result<Arc<Elements>, Refusal> {
        self.evaluate(std::slice::from_ref(tensor))?;
        Ok(self.read_value(&value(tensor)?)?)
    }

    /// A commit: evaluates, traces, counts.
    pub(crate) fn commit_traced(&mut self, tensors: &[Tensor]) -> Result<Vec<Tensor>, Refusal> {
        self.evaluate_step(tensors)?;
        let committed = self.graph.commit(tensors, &mut *self.executor)??;
        self.steps += 1;
        self.reports.step(self.steps);
        Ok(committed)
    }

    /// Evaluates the tensors that end a step, with whatever is to be traced of it.
    pub(crate) fn evaluate_step(&mut self, tensors: &[Tensor]) -> Result<(), Ending> {
        let groups = self.groups(tensors);
        self.evaluate(tensors)?;
        if self.trace == Trace::Off {
            return Ok(());
        }
        let traced = tensors.iter().zip(groups).map(|(tensor, group)| {
            let digest = self.digest(tensor)?;
            let shape = tensor.shape().to_vec();
            let (label, dtype) = (tensor.label().to_owned(), tensor.dtype().name().to_owned());
            Ok(TracedTensor { label, dtype, shape, digest, group })
        });
        let tensors = traced.collect::<Result<_, Ending>>()?;
        self.reports.send(Event::TracedStep(TracedStep { step: self.steps, tensors }));
        Ok(())
    }

    fn evaluate(&mut self, tensors: &[Tensor]) -> Result<(), Ending> {
        self.graph.charge_evaluation(tensors)?;
        self.clock.pass()?;
        if self.traces_operations() {
            self.trace_operations(tensors)?;
        }
        Ok(self.graph.evaluate(tensors, &mut *self.executor)?)
    }

    fn traces_operations(&self) -> bool {
        self.trace == Trace::Operations { step: self.steps }
    }

    /// Evaluates every operation that the tensors need as a target of its own, and digests each.
    fn trace_operations(&mut self, tensors: &[Tensor]) -> Result<(), Ending> {
        let mut waiting = reachable(tensors);
        waiting.retain(|node| node.value().is_none());
        self.graph.evaluate(&waiting, &mut *self.executor)?;
        for node in &waiting {
            let operation = TracedOperation {
                step: self.steps,
                sequence: node.sequence(),
                label: node.label().to_owned(),
                operation: node.op().name().to_owned(),
                shapes: shapes(node),
                digest: self.digest(node)?,
            };
            self.reports.send(Event::TracedOperation(operation));
        }
        Ok(())
    }

    /// What is computed together with each tensor when nothing is traced.
    fn groups(&mut self, tensors: &[Tensor]) -> Vec<Option<String>> {
        if !self.traces_operations() {
            return vec![None; tensors.len()];
        }
        let mut seen = HashSet::new();
        let is_waiting = |tensor: &&Tensor| tensor.value().is_none() && seen.insert(tensor.sequence());
        let waiting: Vec<Tensor> = tensors.iter().filter(is_waiting).cloned().collect();
        let groups = self.executor.groups_of(&waiting);
        let of: HashMap<u64, String> = waiting.iter().map(Tensor::sequence).zip(groups).collect();
        tensors.iter().map(|tensor| of.get(&tensor.sequence()).cloned()).collect()
    }

    fn digest(&mut self, tensor: &Tensor) -> Result<anneal_job::Digest, Ending> {
        let value = value(tensor)?;
        let elements = self.read_value(&value)?;
        Ok(elements_digest(&value, &elements))
    }

    /// The elements of an evaluated value.
    pub(crate) fn read_value(&mut self, value: &Value) -> Result<Arc<Elements>, Ending> {
        match value.elements() {
            Some(elements) => Ok(Arc::clone(elements)),
            None => Ok(self.executor.read(value)?),
        }
    }
}

/// The value of a tensor that was evaluated.
pub(crate) fn value(tensor: &Tensor) -> Result<Value, Ending> {
    tensor.value().cloned().ok_or_else(|| {
        let message = format!("the executor gave no value for {tensor:?}");
        Ending::fault(anneal_job::FaultCode::Internal, message)
    })
}

fn shapes(node: &Tensor) -> String {
    let of = |tensor: &Tensor| format!("{} {}", tensor.dtype(), tensor.shape());
    let inputs: Vec<String> = node.inputs().iter().map(of).collect();
    match node.op() {
        Op::Leaf => of(node),
        _ => format!(
            "{} from {}",
            of(node),
            if inputs.is_empty() { "nothing".to_owned() } else { inputs.join(", ") }
        ),
    }
}
