//! `anneal verify`: silent where all backends agree, and down to the operation where one does not. The machine
//! that computes wrongly is a double of an executor, handed over through the library; there is no flag for it.

use std::sync::Arc;

use anneal_cli::{arguments::JobArguments, host::Host, job, terminal::Terminal};
use anneal_job::Entry;
use anneal_runner::verify;
use anneal_sandbox::{InProcessMachine, Machine, StopFlag};
use anneal_tensor::{
    Cpu, DType, DeviceInfo, Elements, Executor, ExecutorError, Op, ReduceKind, Tensor, Value, reachable,
};
use anneal_tests::{anneal, command, component};

#[test]
fn every_backend_agrees_on_hello() {
    let report = anneal(["verify", "examples/hello", "--json"]).success().json();
    let backends = report["backends"].as_array().expect("backends");
    assert!(backends.len() >= 3, "{report}");
    assert!(backends.iter().any(|backend| backend["name"].as_str().is_some_and(|name| name.contains("gpu"))));
    for backend in backends {
        assert_eq!(backend["result"], report["result"], "{report}");
    }
}

#[test]
fn every_backend_agrees_on_a_short_training() {
    anneal(["verify", "examples/digits", "--param", "epochs=2", "--segments", "2"]).success();
}

#[test]
fn a_reordered_sum_is_found() {
    let difference = difference(Fault::ReversedSum);
    assert_eq!(difference.entry, Entry::Train);
    assert!(difference.step.is_some(), "{difference:?}");
    let operation = difference.operation.expect("an operation is named");
    assert!(operation.name.contains("sum") || operation.name.contains("mean"), "{operation:?}");
    assert_ne!(operation.expected, operation.found);
}

#[test]
fn a_fault_that_hides_when_looked_at_names_the_group() {
    let difference = difference(Fault::OnlyWhenFused);
    assert!(difference.operation.is_none(), "{difference:?}");
    let group = difference.fused_group.expect("a group is named");
    assert!(!group.is_empty());
}

fn difference(fault: Fault) -> anneal_job::report::DifferenceReport {
    let program = command().get_program().to_owned();
    let mut host = Host::here().expect("tests have a file");
    host.launcher.program = program.into();
    let arguments = JobArguments {
        job: component("examples/digits"),
        manifest: Some(anneal_tests::workspace().join("examples/digits/job.toml")),
        inputs: Vec::new(),
        parameters: vec!["epochs=1".to_owned(), "hidden=32".to_owned()],
        seed: None,
        workers: None,
        segments: Some(1),
    };
    let job = job::load(&arguments, &host, &Terminal::new(true)).unwrap_or_else(|_| panic!("digits load"));
    let cpu = || Cpu::new(2).expect("the CPU computes");
    let machines: Vec<Box<dyn Machine>> = vec![
        Box::new(InProcessMachine::new("right", Box::new(cpu()))),
        Box::new(InProcessMachine::new("wrong", Box::new(Faulty { cpu: cpu(), fault }))),
    ];
    let report = verify::verify(&job, machines, &StopFlag::default(), &mut |_line: &str| {});
    let report = report.unwrap_or_else(|_| panic!("a difference is no error of the library"));
    assert_eq!(report.result, None);
    report.difference.expect("the machines differ")
}

#[derive(Clone, Copy, PartialEq)]
enum Fault {
    /// The first sum of each evaluation adds its elements backwards.
    ReversedSum,
    /// One target is off by a bit, unless all operations are asked for.
    OnlyWhenFused,
}

/// A CPU that computes right but for its fault.
struct Faulty {
    cpu: Cpu,
    fault: Fault,
}

impl Faulty {
    /// Gives the first sum of more than one element its wrong value before the rest is computed from it.
    fn reverse_first_sum(&mut self, targets: &[Tensor]) -> Result<(), ExecutorError> {
        let is_sum = |node: &Tensor| {
            let whole =
                matches!(node.op(), Op::Reduce { kind: ReduceKind::Sum, .. }) && node.shape().elements() == 1;
            whole && node.dtype() == DType::F32 && node.value().is_none()
        };
        let Some(sum) = reachable(targets).into_iter().find(is_sum) else { return Ok(()) };
        let input = self.cpu.evaluate(&[sum.inputs()[0].clone()])?.remove(0);
        let elements = self.cpu.read(&input)?;
        let backwards = (0..elements.len()).rev().map(|at| f32::from_bits(elements.word(at)));
        let total: f32 = backwards.fold(0.0, |total, element| total + element);
        sum.set_value(Value::host(DType::F32, *sum.shape(), Elements::F32(vec![total])));
        Ok(())
    }
}

impl Executor for Faulty {
    fn device(&self) -> &DeviceInfo {
        self.cpu.device()
    }

    fn evaluate(&mut self, targets: &[Tensor]) -> Result<Vec<Value>, ExecutorError> {
        if self.fault == Fault::ReversedSum {
            self.reverse_first_sum(targets)?;
        }
        let mut values = self.cpu.evaluate(targets)?;
        let all_looked_at =
            reachable(targets).iter().filter(|node| node.value().is_none()).count() <= targets.len();
        if self.fault == Fault::OnlyWhenFused && !all_looked_at {
            let mut first = (*self.cpu.read(&values[0])?).clone();
            if let Elements::F32(elements) = &mut first
                && let Some(element) = elements.first_mut()
            {
                *element = f32::from_bits(element.to_bits() ^ 1);
            }
            values[0] = Value::host(values[0].dtype, values[0].shape, first);
        }
        Ok(values)
    }

    fn read(&mut self, value: &Value) -> Result<Arc<Elements>, ExecutorError> {
        self.cpu.read(value)
    }

    fn groups_of(&mut self, targets: &[Tensor]) -> Vec<String> {
        self.cpu.groups_of(targets)
    }
}
