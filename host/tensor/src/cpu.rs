//! The CPU executor: plans run on a pool of threads, compiled for what the machine has.
//!
//! It gives the bits of the reference interpreter whatever the number of threads and the instruction set.
//! How element operations run is in `map`, sums of products in `contract`, sums in `reduce`.

mod contract;
mod index;
mod instruction_set;
mod lanes;
mod map;
mod memory;
mod reduce;
mod team;
mod walk;

use std::sync::Arc;

pub use instruction_set::InstructionSet;

use crate::{
    DeviceInfo, Elements, Executor, ExecutorError, Gate, Storage, Tensor, Value, WrongMode,
    float_mode::FirstWrong,
    plan::{Arguments, Plan, PlanCache, Slot, StepKind},
};
use instruction_set::Detected;
use memory::{Held, Pool, Slice, SliceMut, floats};
use team::Team;

/// The CPU as an executor.
pub struct Cpu {
    device: DeviceInfo,
    threads: rayon::ThreadPool,
    team: Team,
    plans: PlanCache,
    memory: Pool,
}

/// Why a CPU executor could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CpuError {
    /// The threads could not be started.
    #[error("cannot start {threads} threads")]
    Threads {
        /// How many were wanted.
        threads: usize,
        /// The system's reason.
        source: rayon::ThreadPoolBuildError,
    },
    /// Something in this process changed how its threads compute.
    #[error(transparent)]
    FloatMode(#[from] WrongMode),
    /// The instruction set is not there.
    #[error("this machine does not have {}", .0.name())]
    InstructionSet(InstructionSet),
}

impl Cpu {
    /// An executor with this many threads (at least one) and the best instruction set of this machine.
    ///
    /// # Errors
    /// Where the threads cannot be started, or begin in a wrong floating-point mode.
    pub fn new(threads: usize) -> Result<Cpu, CpuError> {
        Cpu::with_instruction_set(threads, InstructionSet::detect())
    }

    /// As [`Cpu::new`] with another instruction set: slower, the same bits.
    ///
    /// # Errors
    /// As [`Cpu::new`], and where the machine does not have the set.
    pub fn with_instruction_set(threads: usize, set: InstructionSet) -> Result<Cpu, CpuError> {
        let threads = threads.max(1);
        let detected = Detected::new(set).ok_or(CpuError::InstructionSet(set))?;
        let modes = Arc::new(FirstWrong::default());
        let looks = Arc::clone(&modes);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|number| format!("anneal-cpu-{number}"))
            .start_handler(move |_| looks.check("whatever started the CPU's threads"))
            .build()
            .map_err(|source| CpuError::Threads { threads, source })?;
        // Each has begun once it has answered.
        pool.broadcast(|_| ());
        modes.result()?;
        let device = DeviceInfo {
            backend: "cpu",
            name: format!("{} {}", std::env::consts::ARCH, set.name()),
            driver: String::new(),
            threads,
            memory_bytes: None,
            software: false,
        };
        let team = Team { threads, set: detected, work_min: team::WORK_MIN, gate: None, modes };
        Ok(Cpu { device, threads: pool, team, plans: PlanCache::default(), memory: Pool::default() })
    }

    /// The plans it has built so far.
    pub fn plans(&self) -> &PlanCache {
        &self.plans
    }
}

impl Executor for Cpu {
    fn device(&self) -> &DeviceInfo {
        &self.device
    }

    fn evaluate(&mut self, targets: &[Tensor]) -> Result<Vec<Value>, ExecutorError> {
        self.memory.collect();
        let (plan, arguments) = self.plans.plan(targets);
        let slots = held(&plan, &arguments)?;
        let (team, memory) = (&self.team, &mut self.memory);
        let mut run = Run { plan: &plan, scalars: &arguments.scalars, team, memory, slots };
        drop(arguments.values);
        self.threads.install(|| {
            team.modes.check(team::BEFORE);
            let done = run.steps();
            team.modes.check(team::AFTER);
            done
        })?;
        self.team.modes.result()?;
        let elements = run.take_targets();
        let value = |(target, elements): (&Tensor, Arc<Elements>)| Value {
            dtype: target.dtype(),
            shape: *target.shape(),
            storage: Storage::Host(elements),
        };
        Ok(targets.iter().zip(elements).map(value).collect())
    }

    fn read(&mut self, value: &Value) -> Result<Arc<Elements>, ExecutorError> {
        value.elements().cloned().ok_or(ExecutorError::ForeignValue("the CPU"))
    }

    fn groups_of(&mut self, targets: &[Tensor]) -> Vec<String> {
        self.plans.plan(targets).0.groups()
    }

    fn govern(&mut self, gate: Option<Arc<dyn Gate>>) {
        self.team.gate = gate;
    }
}

fn held(plan: &Plan, arguments: &Arguments) -> Result<Vec<Held>, ExecutorError> {
    let mut slots: Vec<Held> = Vec::with_capacity(plan.slots.len());
    for value in &arguments.values {
        let elements = value.elements().ok_or(ExecutorError::ForeignValue("the CPU"))?;
        slots.push(Held::Shared(Arc::clone(elements)));
    }
    slots.resize_with(plan.slots.len(), Held::default);
    Ok(slots)
}

/// One run of a plan.
struct Run<'a> {
    plan: &'a Plan,
    scalars: &'a [u32],
    team: &'a Team,
    memory: &'a mut Pool,
    slots: Vec<Held>,
}

impl Run<'_> {
    fn steps(&mut self) -> Result<(), ExecutorError> {
        for (step, releases) in self.plan.steps.iter().zip(&self.plan.releases) {
            let writes = step.kind.writes();
            let mut out: Vec<Elements> = writes.iter().map(|&slot| self.take(slot)).collect();
            self.step(&step.kind, &writes, &mut out);
            for (slot, elements) in writes.into_iter().zip(out) {
                self.slots[slot] = Held::Owned(elements);
            }
            for &slot in releases {
                if let Held::Owned(elements) = std::mem::take(&mut self.slots[slot]) {
                    self.memory.put(elements);
                }
            }
            if let Some(gate) = &self.team.gate {
                gate.pass()?;
            }
        }
        Ok(())
    }

    /// A slot's buffer to write: the one it has (a part of it is overwritten), or one from the pool.
    fn take(&mut self, slot: Slot) -> Elements {
        match std::mem::take(&mut self.slots[slot]) {
            Held::Owned(elements) => elements,
            _ => self.memory.take(&self.plan.slots[slot]),
        }
    }

    fn read(&self, slot: Slot) -> &Elements {
        match &self.slots[slot] {
            // Of no elements, and so written by no step.
            Held::Nothing if self.plan.slots[slot].elements == 0 => empty(self.plan.slots[slot].dtype),
            held => held.elements(),
        }
    }

    fn step(&self, kind: &StepKind, writes: &[Slot], out: &mut [Elements]) {
        let team = self.team;
        match kind {
            StepKind::Map(map) => {
                let reads: Vec<Slice<'_>> =
                    map.loads.iter().map(|(view, _)| Slice::of(self.read(view.slot))).collect();
                let mut slices: Vec<(Slot, SliceMut<'_>)> =
                    writes.iter().copied().zip(out.iter_mut().map(SliceMut::of)).collect();
                // One store a slot: the planner gives every stored register a slot of its own.
                let stores = map.stores.iter().map(|(_, view)| {
                    let at = slices.iter().position(|(slot, _)| *slot == view.slot);
                    slices.swap_remove(at.expect("every stored slot is written once")).1
                });
                let stores = stores.collect();
                map::run(team, map, self.scalars, &reads, stores);
            }
            StepKind::Reduce(reduce) => reduce::run(team, reduce, self.read(reduce.x.slot), &mut out[0]),
            StepKind::ArgReduce(reduce) => {
                index::arg_reduce(team, reduce, self.read(reduce.x.slot), integers_mut(&mut out[0]));
            }
            StepKind::Contract(contract) => {
                let (a, b) = (self.read(contract.a.slot), self.read(contract.b.slot));
                contract::run(team, contract, floats(a), floats(b), floats_mut(&mut out[0]));
            }
            StepKind::Fold(fold) => {
                index::fold(team, fold, floats(self.read(fold.windows.slot)), floats_mut(&mut out[0]));
            }
            StepKind::Gather(gather) => {
                let (x, indices) = (self.read(gather.x.slot), self.read(gather.indices.slot));
                index::gather(team, gather, x, indices, &mut out[0]);
            }
            StepKind::ScatterAdd(scatter) => {
                let reads = [scatter.base.slot, scatter.indices.slot, scatter.source.slot];
                index::scatter_add(team, scatter, reads.map(|slot| self.read(slot)), &mut out[0]);
            }
        }
    }

    fn take_targets(&mut self) -> Vec<Arc<Elements>> {
        let mut targets = Vec::with_capacity(self.plan.targets.len());
        for &slot in &self.plan.targets {
            let elements = match std::mem::take(&mut self.slots[slot]) {
                Held::Shared(elements) => elements,
                Held::Owned(elements) => self.memory.lend(elements),
                Held::Nothing => Arc::new(empty(self.plan.slots[slot].dtype).clone()),
            };
            self.slots[slot] = Held::Shared(Arc::clone(&elements));
            targets.push(elements);
        }
        targets
    }
}

/// No elements of a dtype.
fn empty(dtype: crate::DType) -> &'static Elements {
    static NONE: [Elements; 4] = [
        Elements::F32(Vec::new()),
        Elements::I32(Vec::new()),
        Elements::U8(Vec::new()),
        Elements::U16(Vec::new()),
    ];
    match dtype {
        crate::DType::F32 => &NONE[0],
        crate::DType::I32 => &NONE[1],
        crate::DType::U8 | crate::DType::Bool => &NONE[2],
        crate::DType::Bf16 | crate::DType::F16 => &NONE[3],
    }
}

fn floats_mut(elements: &mut Elements) -> &mut [f32] {
    match elements {
        Elements::F32(elements) => elements,
        _ => panic!("a plan gives f32 to a slot that is not"),
    }
}

fn integers_mut(elements: &mut Elements) -> &mut [i32] {
    match elements {
        Elements::I32(elements) => elements,
        _ => panic!("a plan gives i32 to a slot that is not"),
    }
}

#[cfg(test)]
mod tests;
