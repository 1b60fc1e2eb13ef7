//! Evaluation: what it costs, and its values.
//!
//! Recording an operation pays for computing it once. A result that was computed on the way to another and not
//! kept is computed again for the next, and paid for again. What is kept by this count is what the guest asked
//! for, never what an executor or a trace happens to keep.

use std::collections::{HashMap, VecDeque};

use super::{Graph, Recorded};
use crate::{
    Executor, ExecutorError, Exhausted, Tensor, gas, limits,
    node::{SequenceSet, SequenceState, Stage},
    plan::StructureHasher,
};

/// The structures that a task evaluated last, the newest last.
#[derive(Debug, Default)]
pub(super) struct Structures(VecDeque<u64>);

impl Structures {
    /// Makes this one the newest; whether it was known.
    fn use_one(&mut self, structure: u64) -> bool {
        let known = self.0.iter().rposition(|&known| known == structure);
        known.and_then(|at| self.0.remove(at));
        if self.0.len() >= limits::STRUCTURES_MAX {
            self.0.pop_front();
        }
        self.0.push_back(structure);
        known.is_some()
    }
}

impl Graph {
    /// Charges what evaluating the tensors costs beyond their recording. To be asked before they are evaluated.
    ///
    /// # Errors
    /// Where the gas is used up: nothing is to be evaluated.
    pub fn charge_evaluation(&mut self, tensors: &[Tensor]) -> Result<(), Exhausted> {
        let mut places = HashMap::with_capacity_and_hasher(256, SequenceState);
        let mut nodes: Vec<&Tensor> = Vec::with_capacity(256);
        for tensor in tensors.iter().filter(|tensor| tensor.stage() != Stage::Kept) {
            place(tensor, &mut places, &mut nodes);
        }
        if nodes.is_empty() {
            return Ok(());
        }
        // Executors look through what is alive for what they may use again.
        self.meter.charge_gas(gas::EVALUATION + self.meter.tensors_live())?;
        let mut structure = StructureHasher::new(nodes.len());
        let (mut next, mut computed) = (0, 0);
        while let Some(&node) = nodes.get(next) {
            next += 1;
            let is_kept = node.stage() == Stage::Kept;
            structure.add(node, is_kept);
            if is_kept {
                continue;
            }
            computed += 1;
            self.meter.charge_gas(gas::walked(node))?;
            if node.stage() == Stage::Computed {
                let inputs: Vec<&Tensor> = node.inputs().iter().collect();
                self.meter.charge_gas(gas::computed(node.op(), &inputs, node.shape(), node.dtype()))?;
            }
            node.set_stage(Stage::Computed);
            for input in node.inputs() {
                structure.add_input(place(input, &mut places, &mut nodes));
            }
        }
        tensors.iter().for_each(|tensor| tensor.set_stage(Stage::Kept));
        if !self.structures.use_one(structure.finish()) {
            self.meter.charge_gas(gas::PLANNED * computed)?;
        }
        Ok(())
    }

    /// Evaluates the tensors now, keeping each value in its node. History stays.
    ///
    /// # Errors
    /// Only the machine's.
    pub fn evaluate(&mut self, tensors: &[Tensor], executor: &mut dyn Executor) -> Result<(), ExecutorError> {
        let mut seen = SequenceSet::default();
        let is_waiting = |tensor: &&Tensor| tensor.value().is_none() && seen.insert(tensor.sequence());
        let waiting: Vec<Tensor> = tensors.iter().filter(is_waiting).cloned().collect();
        if waiting.is_empty() {
            return Ok(());
        }
        let values = executor.evaluate(&waiting)?;
        for (tensor, value) in waiting.iter().zip(values) {
            tensor.set_value(value);
        }
        Ok(())
    }

    /// The step boundary: evaluates the tensors and returns leaves with their values and no history.
    ///
    /// # Errors
    /// The machine's, or the task's gas or bytes are used up.
    pub fn commit(
        &mut self,
        tensors: &[Tensor],
        executor: &mut dyn Executor,
    ) -> Result<Recorded<Vec<Tensor>>, ExecutorError> {
        if let Err(exhausted) = self.charge_evaluation(tensors) {
            return Ok(Err(exhausted.into()));
        }
        self.evaluate(tensors, executor)?;
        self.step_nodes = 0;
        Ok(tensors
            .iter()
            .map(|tensor| {
                let value = tensor.value().expect("evaluate leaves a value in every target");
                self.leaf(value.clone())
            })
            .collect())
    }
}

/// Where a tensor is among the nodes, the last where it was not there.
fn place<'a>(
    tensor: &'a Tensor,
    places: &mut HashMap<u64, u64, SequenceState>,
    nodes: &mut Vec<&'a Tensor>,
) -> u64 {
    *places.entry(tensor.sequence()).or_insert_with(|| {
        nodes.push(tensor);
        nodes.len() as u64 - 1
    })
}

#[cfg(test)]
mod tests {
    use crate::{
        Conv2dAttributes, DType, Exhausted, Graph, Meter, RecordError, Reference, Tensor, gas, limits,
    };

    fn graph() -> Graph {
        Graph::new(1, Meter::new(1 << 40))
    }

    fn chain(graph: &mut Graph, length: usize) -> Tensor {
        let mut last = graph.full(DType::F32, &[], -1.0).expect("small");
        for _ in 0..length {
            last = graph.neg(&last).expect("small");
        }
        last
    }

    /// The gas of evaluating the tensors one after the other.
    fn evaluations(graph: &mut Graph, tensors: &[Tensor]) -> Vec<u64> {
        graph.meter().take_gas();
        let mut costs = Vec::new();
        for tensor in tensors {
            let tensor = std::slice::from_ref(tensor);
            graph.charge_evaluation(tensor).expect("there is gas");
            graph.evaluate(tensor, &mut Reference::new()).expect("it does not fail");
            costs.push(graph.meter().take_gas());
        }
        costs
    }

    #[test]
    fn what_is_computed_again_is_paid_again_and_what_is_kept_is_not() {
        let graph = &mut graph();
        let last = chain(graph, 1000);
        let views: Vec<Tensor> = (0..3).map(|_| graph.detach(&last).expect("small")).collect();
        let asked = [views[0].clone(), views[1].clone(), views[1].clone(), last, views[2].clone()];
        let costs = evaluations(graph, &asked);
        let walk = 1000 * (gas::WALKED + gas::WALKED_INPUT);
        let planned = 1000 * gas::PLANNED;
        assert!((planned + walk..planned + 2 * walk).contains(&costs[0]), "{costs:?}");
        // All of it but its own detach is computed for the second time, and for the third.
        let again = 1000 * gas::OPERATION;
        assert!((again + walk..2 * again).contains(&costs[1]), "{costs:?}");
        assert_eq!(costs[2], 0, "it is kept");
        assert!(
            (planned + again + walk..planned + 2 * again).contains(&costs[3]),
            "another structure: {costs:?}"
        );
        assert!(
            costs[4] < 30_000,
            "the last of the chain is kept, nothing before it is looked at: {costs:?}"
        );
    }

    #[test]
    fn gas_does_not_depend_on_what_a_trace_computed() {
        let record = |graph: &mut Graph| {
            let last = chain(graph, 50);
            let views = [(); 2].map(|()| graph.detach(&last).expect("small"));
            [&views[..], &[last]].concat()
        };
        let (plain, traced) = (&mut graph(), &mut graph());
        let expected = record(plain);
        let targets = record(traced);
        let all = crate::reachable(&targets);
        traced.evaluate(&all, &mut Reference::new()).expect("it does not fail");
        assert!(all.iter().all(|node| node.value().is_some()));
        assert_eq!(evaluations(traced, &targets), evaluations(plain, &expected));
    }

    /// As a training does: new leaves and scalars at each step, the same operations.
    #[test]
    fn a_structure_is_paid_for_once() {
        let graph = &mut graph();
        let mut step = |length: u32, rate: f64| {
            let x = graph.from_bytes(DType::F32, &[2], &[0; 8]).expect("small");
            let rate = graph.full(DType::F32, &[], rate).expect("a number");
            let mut y = graph.mul(&x, &rate).expect("they fit");
            for _ in 0..length {
                y = graph.exp(&y).expect("small");
            }
            evaluations(graph, &[y])[0]
        };
        let first = step(10, 0.5);
        assert!(first >= 12 * gas::PLANNED, "{first}");
        assert!(step(10, 0.25) < gas::EVALUATION + 12 * 200 + 100);
        // In turn with as many as are remembered, and with one more.
        for length in 11..10 + limits::STRUCTURES_MAX as u32 {
            assert!(step(length, 0.5) > first);
        }
        assert!(step(10, 0.5) < first / 2);
        for length in 100..100 + limits::STRUCTURES_MAX as u32 {
            step(length, 0.5);
        }
        assert!(step(10, 0.5) >= first);
    }

    #[test]
    fn nothing_is_evaluated_without_gas() {
        let graph = &mut Graph::new(1, Meter::with_gas(1 << 30, 12_000_000));
        let last = chain(graph, 1000);
        let views = [(); 2].map(|()| graph.detach(&last).expect("small"));
        let commit = |graph: &mut Graph, view: &Tensor| {
            graph.commit(std::slice::from_ref(view), &mut Reference::new()).expect("the machine works")
        };
        commit(graph, &views[0]).expect("it was paid for");
        let refused = commit(graph, &views[1]).expect_err("it is computed for the second time");
        assert_eq!(refused, RecordError::Exhausted(Exhausted::Gas { limit: 12_000_000 }));
        assert!(views[1].value().is_none());
    }

    #[test]
    fn a_gradient_pays_for_the_history_it_looks_at() {
        let graph = &mut graph();
        let (last, other) = (chain(graph, 1000), chain(graph, 0));
        graph.meter().take_gas();
        graph.gradients(&last, &[&other]).expect("it is zeros");
        let cost = graph.meter().take_gas();
        assert!(cost >= 1000 * (gas::WALKED + gas::WALKED_INPUT), "{cost}");
        graph.gradients(&other, &vec![&other; 5000]).expect("it is ones");
        let cost = graph.meter().take_gas();
        assert!(cost >= 5000 * gas::LISTED, "{cost}");
    }

    #[test]
    fn a_record_without_elements_counts_and_is_given_back() {
        let graph = &mut Graph::new(1, Meter::new(1 << 20));
        let nothing = graph.full(DType::F32, &[0], 0.0).expect("it fits");
        let mut last = nothing.clone();
        let ended = loop {
            match graph.neg(&last) {
                Ok(next) => last = next,
                Err(error) => break error,
            }
        };
        assert!(matches!(ended, RecordError::Exhausted(Exhausted::TensorBytes { .. })), "{ended}");
        let count = graph.meter().tensors_live();
        assert!(count <= (1 << 20) / limits::RECORD_BYTES, "{count}");
        drop((nothing, last));
        assert_eq!((graph.meter().tensors_live(), graph.meter().bytes_live()), (0, 0));
    }

    #[test]
    fn what_is_made_on_the_way_is_paid_for_and_counted() {
        let graph = &mut graph();
        let [image, weight] =
            [[1, 1, 1, 1], [1, 1, 1, 1]].map(|sizes| graph.full(DType::F32, &sizes, 1.0).expect("small"));
        let attributes =
            Conv2dAttributes { stride: [8000; 2], padding: [8000; 2], dilation: [1; 2], groups: 1 };
        let before = graph.meter().bytes_live();
        graph.meter().take_gas();
        let small = graph.conv2d(&image, &weight, attributes).expect("it has nine elements");
        let padded = 4 * 16_001 * 16_001;
        assert_eq!(small.bytes(), 36);
        assert!(graph.meter().bytes_live() - before >= padded);
        assert!(graph.meter().take_gas() >= 2 * padded / gas::UNITS_PER_GAS);
        // One window over the whole image: its gradient sums as many terms for each pixel as there are pixels.
        let image = graph.full(DType::F32, &[1, 1, 500, 500], 1.0).expect("small");
        let options = crate::Pool2dOptions { kernel: [500; 2], stride: [500; 2], padding: [0; 2] };
        let pooled = graph.max_pool2d(&image, options).expect("one window");
        let loss = graph.sum(&pooled, &[], false).expect("a number");
        graph.meter().take_gas();
        graph.gradients(&loss, &[&image]).expect("it has one");
        assert!(graph.meter().take_gas() >= 500 * 500 * 500 * 500 / gas::UNITS_PER_GAS);
    }
}
