//! Evaluation: what it costs, and its values.
//!
//! Recording an operation pays for computing it once. A result that was computed on the way to another and not
//! kept is computed again for the next, and paid for again. What is kept by this count is what the guest asked
//! for, never what an executor or a trace happens to keep.

use super::{Graph, Recorded};
use crate::{
    Executor, ExecutorError, Exhausted, Tensor, gas, limits,
    node::{SequenceSet, Stage},
    plan::{Recent, Structure, StructureKey},
};

/// The structures that a task evaluated last.
#[derive(Debug)]
pub(super) struct Structures(Recent<()>);

impl Default for Structures {
    fn default() -> Structures {
        Structures(Recent::new(limits::STRUCTURES_MAX))
    }
}

impl Structures {
    /// Makes this one the newest; whether it was known.
    fn use_one(&mut self, key: StructureKey) -> bool {
        let is_known = self.0.get(&key).is_some();
        if !is_known {
            self.0.insert(key, ());
        }
        is_known
    }
}

impl Graph {
    /// Charges what evaluating the tensors costs beyond their recording. To be asked before they are evaluated.
    ///
    /// # Errors
    /// Where the gas is used up: nothing is to be evaluated.
    pub fn charge_evaluation(&mut self, tensors: &[Tensor]) -> Result<(), Exhausted> {
        let targets = waiting(tensors, |tensor| tensor.stage() == Stage::Kept);
        if targets.is_empty() {
            return Ok(());
        }
        // Executors look through what is alive for what they may use again.
        self.meter.charge_gas(gas::EVALUATION + self.meter.tensors_live())?;
        let mut computed = 0;
        let charge = |node: &Tensor| {
            computed += 1;
            self.meter.charge_gas(gas::walked(node))?;
            if node.stage() == Stage::Computed {
                let inputs: Vec<&Tensor> = node.inputs().iter().collect();
                self.meter.charge_gas(gas::computed(node.op(), &inputs, node.shape(), node.dtype()))?;
            }
            node.set_stage(Stage::Computed);
            Ok(())
        };
        let structure = Structure::of(&targets, |node| node.stage() == Stage::Kept, charge)?;
        tensors.iter().for_each(|tensor| tensor.set_stage(Stage::Kept));
        if !self.structures.use_one(structure.key) {
            self.meter.charge_gas(gas::PLANNED * computed)?;
        }
        Ok(())
    }

    /// Evaluates the tensors now, keeping each value in its node. History stays.
    ///
    /// # Errors
    /// Only the machine's.
    pub fn evaluate(&mut self, tensors: &[Tensor], executor: &mut dyn Executor) -> Result<(), ExecutorError> {
        let waiting: Vec<Tensor> =
            waiting(tensors, |tensor| tensor.value().is_some()).into_iter().cloned().collect();
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

/// The tensors that are not there yet, each once.
fn waiting(tensors: &[Tensor], is_there: impl Fn(&Tensor) -> bool) -> Vec<&Tensor> {
    let mut seen = SequenceSet::default();
    tensors.iter().filter(|tensor| !is_there(tensor) && seen.insert(tensor.sequence())).collect()
}

#[cfg(test)]
mod tests {
    use crate::{
        Conv2dAttributes, DType, Exhausted, Graph, Meter, RecordError, Reference, Tensor, gas, limits,
        plan::PlanCache,
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

    /// Evaluates once, and gives the plans that had to be made for it and the operations that were paid for as planned.
    fn planned(graph: &mut Graph, cache: &mut PlanCache, targets: &[Tensor]) -> (u64, u64) {
        let nodes = crate::reachable(targets);
        let walked: u64 = nodes.iter().filter(|node| node.value().is_none()).map(gas::walked).sum();
        graph.meter().take_gas();
        graph.charge_evaluation(targets).expect("there is gas");
        let paid = graph.meter().take_gas() - gas::EVALUATION - graph.meter().tensors_live() - walked;
        assert_eq!(paid % gas::PLANNED, 0);
        let built = cache.built();
        cache.plan(targets);
        (cache.built() - built, paid / gas::PLANNED)
    }

    /// The same operations, recorded in another order, or handed in in another, are another structure for both.
    #[test]
    fn what_is_planned_anew_is_paid_for_in_whatever_order_it_was_recorded() {
        let (graph, cache) = (&mut graph(), &mut PlanCache::new(limits::STRUCTURES_MAX));
        let mut random = 1u64;
        let mut draw = |below: usize| {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (random >> 33) as usize % below
        };
        let (mut built, mut known) = (0, 0);
        for _ in 0..300 {
            let x = graph.from_bytes(DType::F32, &[2], &[0; 8]).expect("small");
            // Three branches, whose operations are recorded in an order that is drawn: 90 of them.
            let mut branches = [x.clone(), x.clone(), x];
            let mut left = vec![0, 0, 1, 1, 2, 2];
            while !left.is_empty() {
                let branch = left.remove(draw(left.len()));
                branches[branch] = match branch {
                    0 => graph.exp(&branches[0]),
                    1 => graph.neg(&branches[1]),
                    _ => graph.tanh(&branches[2]),
                }
                .expect("small");
            }
            let (made, paid) = planned(graph, cache, &branches);
            assert_eq!(paid, 6 * made, "what is planned is paid for, and nothing else is");
            built += made;
            known += 1 - made;
        }
        assert!(
            built > limits::STRUCTURES_MAX as u64 && known > 20,
            "{built} were built, {known} were known"
        );
    }

    /// Large structures, of which a cache holds fewer at once than [`limits::STRUCTURES_MAX`].
    #[test]
    fn what_a_cache_has_no_room_for_is_paid_for_again() {
        let (graph, cache) = (&mut Graph::new(1, Meter::new(1 << 50)), &mut PlanCache::default());
        let large = |graph: &mut Graph, length: u64| {
            let mut last = graph.full(DType::F32, &[0; limits::RANK_MAX], 0.0).expect("it has no elements");
            for _ in 1..length {
                last = graph.neg(&last).expect("it has no elements");
            }
            last
        };
        let mut built = Vec::new();
        // Each is of more than a quarter of the words: three of them fit, and four do not.
        let lengths = [50_000, 50_001, 50_002, 50_002, 50_000, 50_003, 50_002, 50_001, 50_000];
        for length in lengths {
            let target = large(graph, length);
            let (made, paid) = planned(graph, cache, &[target]);
            assert_eq!(paid, length * made, "{length}");
            built.push(made);
            graph.commit(&[], &mut Reference::new()).expect("the machine works").expect("it is empty");
        }
        assert_eq!(built, [1, 1, 1, 0, 0, 1, 0, 1, 1]);
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
