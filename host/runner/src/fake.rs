//! For tests: nobody who listens, and a machine: its results follow from the task's name, as a real one's do, without any guest.

use anneal_job::{
    Completed, Digest, Entry, FaultCode, HostFault, Metric, Outcome, PlannedTask, result_digest,
};
use anneal_sandbox::{
    AttemptRequest, Event, Machine, NamedValue, Observer, State, Trace, TracedOperation, TracedStep,
    TracedTensor, files,
};
use anneal_tensor::{DType, Elements, Shape, Value};

use crate::progress::{Console, Progress};

/// Where and how a machine computes something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nowhere.
    None,
    /// In every second segment and later, also when traced.
    Wrong,
    /// As that, but not when operations are looked at.
    WrongWhenFused,
    /// The machine dies at this attempt, counted from 0.
    Dies(usize),
}

/// The machine.
pub(crate) struct Fake {
    pub(crate) name: &'static str,
    pub(crate) fault: Fault,
    pub(crate) attempts: usize,
}

impl Fake {
    pub(crate) fn new(name: &'static str, fault: Fault) -> Fake {
        Fake { name, fault, attempts: 0 }
    }
}

impl Machine for Fake {
    fn name(&self) -> &str {
        self.name
    }

    fn attempt(&mut self, request: &AttemptRequest, observer: &mut dyn Observer) -> Outcome {
        self.attempts += 1;
        if self.fault == Fault::Dies(self.attempts - 1) {
            return Outcome::HostFault(HostFault { code: FaultCode::WorkerDied, message: "died".to_owned() });
        }
        for (path, expected) in request.states.iter().zip(&request.task.states) {
            let (folder, name) = anneal_files::folder_and_name(path).expect("a path");
            let state = files::read_state(&folder, &name, 1 << 20).expect("a state");
            assert_eq!(state.digest(), *expected, "the state is the one that the task names");
        }
        let wrong = matches!(self.fault, Fault::Wrong | Fault::WrongWhenFused)
            && request.task.entry == Entry::Train
            && request.task.place.segment >= 1;
        trace(request.trace, wrong, self.fault, observer);
        let seed = request.task.id().0.as_bytes()[0] ^ u8::from(wrong);
        let value = Value::host(DType::U8, Shape::of(&[1]), Elements::U8(vec![seed]));
        let tensors = match request.task.entry {
            Entry::Evaluate => Vec::new(),
            _ => vec![NamedValue { name: "w".to_owned(), value }],
        };
        let state = State::new(tensors).expect("a state");
        if let Some(output) = &request.output {
            let (folder, name) = anneal_files::folder_and_name(output).expect("a path");
            files::write_state(&folder, &name, &state).expect("written");
        }
        let metrics = vec![Metric { name: "loss".to_owned(), step: 1, value: f64::from(seed) }];
        let result = result_digest(state.digest(), &metrics);
        Outcome::Completed(Completed { result, state: state.digest(), metrics, gas: 10, steps: 3 })
    }
}

fn trace(trace: Trace, wrong: bool, fault: Fault, observer: &mut dyn Observer) {
    let digest = |wrong: bool| Digest::of(&[u8::from(wrong)]);
    if let Trace::Operations { step } = trace {
        let seen = wrong && fault == Fault::Wrong;
        for (sequence, (operation, wrong)) in [("exp", false), ("sum", seen)].into_iter().enumerate() {
            observer.observe(Event::TracedOperation(TracedOperation {
                step,
                sequence: sequence as u64,
                label: operation.to_owned(),
                operation: operation.to_owned(),
                shapes: "f32 [1] from f32 [9]".to_owned(),
                digest: digest(wrong),
            }));
        }
    }
    if trace != Trace::Off {
        for step in 0..3 {
            let tensor = TracedTensor {
                label: "sum".to_owned(),
                dtype: "f32".to_owned(),
                shape: vec![1],
                digest: digest(wrong && step >= 1),
                group: Some("exp and sum".to_owned()),
            };
            observer.observe(Event::TracedStep(TracedStep { step, tensors: vec![tensor] }));
        }
    }
}

/// Nobody listens.
pub(crate) struct Silent;

impl Console for Silent {
    fn note(&self, _line: String) {}

    fn warn(&self, _line: String) {}
}

impl Observer for Silent {
    fn observe(&mut self, _event: Event) {}
}

impl Progress for Silent {
    fn begin(&mut self, _task: &PlannedTask, _tasks: usize) {}

    fn end(&mut self) {}

    fn line(&mut self, _line: String) {}

    fn finish(&mut self) {}
}
