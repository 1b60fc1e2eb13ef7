//! Providers that cheat, for the demo: one that lies in one operation of one step, one that copies instead of
//! computing. They exist only here; no flag of `provide` makes one.

use std::sync::Arc;

use anneal_job::{Completed, Entry, FaultCode, HostFault, Outcome, RecordHasher, result_digest};
use anneal_sandbox::{AttemptRequest, InProcessMachine, Machine, Observer, files};
use anneal_tensor::{
    Cpu, DType, DeviceInfo, Elements, Executor, ExecutorError, Op, Tensor, Value, reachable,
};

/// The lie is in one of so many operations from the task's beginning.
const OPERATIONS: u64 = 3_000;
/// The bit of each element that the liar flips: an eighth of its value or so. A smaller lie is often rounded away
/// by the next matrix product, and a lie without effect is none.
const LIE: u32 = 1 << 20;
/// Bytes of a state that is copied.
const STATE_BYTES_MAX: u64 = 1 << 30;

/// How a provider cheats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cheat {
    /// Computes, but for one operation that the seed draws for each task.
    Lies {
        /// Of the draw.
        seed: u64,
    },
    /// Hands in the state that it was given.
    Copies,
}

impl Cheat {
    /// A machine that does so, for one attempt.
    pub(super) fn machine(self) -> Box<dyn Machine> {
        match self {
            Cheat::Lies { seed } => Box::new(Liar { seed }),
            Cheat::Copies => Box::new(Copier),
        }
    }
}

struct Liar {
    seed: u64,
}

impl Machine for Liar {
    fn name(&self) -> &str {
        "liar"
    }

    fn attempt(&mut self, request: &AttemptRequest, observer: &mut dyn Observer) -> Outcome {
        let cpu = match Cpu::new(1) {
            Ok(cpu) => cpu,
            Err(error) => return fault(error.to_string()),
        };
        let mut hasher = RecordHasher::new("anneal demo lie 1");
        let drawn = hasher.number(self.seed).bytes(request.task.id().0.as_bytes()).finish();
        let drawn = drawn.as_bytes()[..8].iter().fold(0, |number: u64, &byte| number << 8 | u64::from(byte));
        let executor = Lying { cpu, from: drawn % OPERATIONS, told: false };
        InProcessMachine::new("liar", Box::new(executor)).attempt(request, observer)
    }
}

/// A CPU that flips a bit in every element of the first operation from a drawn one on, and computes everything
/// after it from that.
struct Lying {
    cpu: Cpu,
    from: u64,
    told: bool,
}

impl Lying {
    fn lie(&mut self, targets: &[Tensor]) -> Result<(), ExecutorError> {
        let fits = |node: &&Tensor| {
            node.sequence() >= self.from
                && node.value().is_none()
                && !matches!(node.op(), Op::View(_))
                && node.dtype() == DType::F32
                && node.shape().elements() > 0
        };
        let nodes = reachable(targets);
        let Some(node) = nodes.iter().filter(fits).min_by_key(|node| node.sequence()) else { return Ok(()) };
        let truth = self.cpu.evaluate(std::slice::from_ref(node))?.remove(0);
        let mut elements = (*self.cpu.read(&truth)?).clone();
        if let Elements::F32(elements) = &mut elements {
            for element in elements {
                *element = f32::from_bits(element.to_bits() ^ LIE);
            }
            self.told = true;
        }
        node.set_value(Value::host(truth.dtype, truth.shape, elements));
        Ok(())
    }
}

impl Executor for Lying {
    fn device(&self) -> &DeviceInfo {
        self.cpu.device()
    }

    fn evaluate(&mut self, targets: &[Tensor]) -> Result<Vec<Value>, ExecutorError> {
        if !self.told {
            self.lie(targets)?;
        }
        self.cpu.evaluate(targets)
    }

    fn read(&mut self, value: &Value) -> Result<Arc<Elements>, ExecutorError> {
        self.cpu.read(value)
    }

    fn groups_of(&mut self, targets: &[Tensor]) -> Vec<String> {
        self.cpu.groups_of(targets)
    }
}

/// Saves the electricity: the state that came in goes out, with numbers that look right.
struct Copier;

impl Machine for Copier {
    fn name(&self) -> &str {
        "copier"
    }

    fn attempt(&mut self, request: &AttemptRequest, _observer: &mut dyn Observer) -> Outcome {
        copy(request).unwrap_or_else(fault)
    }
}

fn copy(request: &AttemptRequest) -> Result<Outcome, String> {
    let Some(from) = request.states.first().filter(|_| request.task.entry != Entry::Evaluate) else {
        return Err("there is nothing to copy".to_owned());
    };
    let (folder, name) = anneal_files::folder_and_name(from).map_err(|error| error.to_string())?;
    let state = files::read_state(&folder, &name, STATE_BYTES_MAX).map_err(|error| error.to_string())?;
    if let Some(to) = &request.output {
        std::fs::copy(from, to).map_err(|error| error.to_string())?;
    }
    let result = result_digest(state.digest(), &[]);
    Ok(Outcome::Completed(Completed {
        result,
        state: state.digest(),
        metrics: Vec::new(),
        gas: request.task.limits.gas / 100,
        steps: 0,
    }))
}

fn fault(message: impl Into<String>) -> Outcome {
    Outcome::HostFault(HostFault { code: FaultCode::Internal, message: message.into() })
}
