//! The hostile interpreter: runs the kernels that ship on a machine that does whatever WGSL allows to floats.
//!
//! It executes naga's IR of a kernel's text: workgroups, barriers, buffers and all. Float results stay
//! symbolic until something needs their bits, and are then contracted, reassociated, flushed and perturbed
//! at random. Behind the emitter's barriers there is nothing left to choose, so the bits must be the
//! reference's. It also finds what a device would hide: accesses out of range, reads of what nobody wrote,
//! data races, and barriers that not every invocation reaches. Not fast, and no model of a real GPU.

mod float;
mod machine;
mod memory;
mod program;

use std::{collections::HashMap, sync::Arc};

use anneal_tensor::{
    DeviceInfo, Elements, Executor, ExecutorError, Storage, Tensor, Value,
    plan::{Plan, PlanCache},
};

use crate::kernel::{self, Buffer, Tuning};
pub use float::Hostility;
use machine::Machine;
use program::Program;

/// An executor that interprets kernels on a hostile machine.
#[derive(Debug)]
pub struct Hostile {
    device: DeviceInfo,
    tuning: Tuning,
    hostility: Hostility,
    random: u64,
    plans: PlanCache,
    programs: HashMap<String, Arc<Program>>,
}

/// Parsed kernels that are kept.
const PROGRAMS_MAX: usize = 1024;
/// What a slot holds before it is written: no kernel may let it through.
const UNWRITTEN: u32 = 0x7fc0_dead;

impl Hostile {
    /// A machine with this much hostility; equal seeds give equal choices.
    pub fn new(hostility: Hostility, seed: u64, tuning: Tuning) -> Hostile {
        let device = DeviceInfo {
            backend: "hostile",
            name: "hostile interpreter".to_owned(),
            driver: String::new(),
            threads: 1,
            memory_bytes: None,
            software: true,
        };
        let programs = HashMap::new();
        Hostile { device, tuning, hostility, random: seed, plans: PlanCache::default(), programs }
    }

    /// Runs a plan's steps on slots; `None` is a slot that nobody wrote yet.
    fn run(&mut self, plan: &Plan, scalars: &[u32], slots: &mut [Option<Vec<u32>>]) {
        for step in &plan.steps {
            let lowered = kernel::lower(&step.kind, &plan.slots, self.tuning);
            // What is read was written, or has no elements.
            for slot in step.kind.writes().into_iter().chain(step.kind.reads()) {
                slots[slot].get_or_insert_with(|| vec![UNWRITTEN; plan.slots[slot].elements.max(1)]);
            }
            let mut temporaries: Vec<Option<Vec<u32>>> =
                lowered.temporaries.iter().map(|&elements| Some(vec![UNWRITTEN; elements])).collect();
            for dispatch in &lowered.dispatches {
                let mut buffers = vec![dispatch.bound(scalars)];
                for buffer in &dispatch.buffers {
                    let held = match *buffer {
                        Buffer::Slot(slot) => slots[slot].take(),
                        Buffer::Temporary(number) => temporaries[number].take(),
                    };
                    buffers.push(held.expect("a step's buffers exist and are bound once"));
                }
                let program = self.program(&dispatch.kernel.text);
                let grid = kernel::grid(dispatch.workgroups);
                self.random = self.random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
                let mut machine = Machine::new(&program, buffers, self.hostility, self.random);
                machine.dispatch(grid);
                let mut buffers = machine.into_buffers().into_iter().skip(1);
                for buffer in &dispatch.buffers {
                    match *buffer {
                        Buffer::Slot(slot) => slots[slot] = buffers.next(),
                        Buffer::Temporary(number) => temporaries[number] = buffers.next(),
                    }
                }
            }
        }
    }

    fn program(&mut self, text: &str) -> Arc<Program> {
        if let Some(program) = self.programs.get(text) {
            return Arc::clone(program);
        }
        if self.programs.len() >= PROGRAMS_MAX {
            self.programs.clear();
        }
        let program = Arc::new(Program::new(text));
        self.programs.insert(text.to_owned(), Arc::clone(&program));
        program
    }
}

impl Executor for Hostile {
    fn device(&self) -> &DeviceInfo {
        &self.device
    }

    /// # Panics
    /// Where a kernel does what no kernel may: see the module.
    fn evaluate(&mut self, targets: &[Tensor]) -> Result<Vec<Value>, ExecutorError> {
        let (plan, arguments) = self.plans.plan(targets);
        let mut slots: Vec<Option<Vec<u32>>> = Vec::with_capacity(plan.slots.len());
        for value in &arguments.values {
            let elements = value.elements().ok_or(ExecutorError::ForeignValue("the hostile interpreter"))?;
            let mut words: Vec<u32> = (0..elements.len()).map(|index| elements.word(index)).collect();
            words.resize(words.len().max(1), UNWRITTEN);
            slots.push(Some(words));
        }
        slots.resize(plan.slots.len(), None);
        self.run(&plan, &arguments.scalars, &mut slots);
        let value = |(target, &slot): (&Tensor, &usize)| {
            let (dtype, shape) = (target.dtype(), *target.shape());
            let words = slots[slot].iter().flatten().copied().take(shape.elements());
            Value { dtype, shape, storage: Storage::Host(Arc::new(Elements::from_words(dtype, words))) }
        };
        Ok(targets.iter().zip(&plan.targets).map(value).collect())
    }

    fn read(&mut self, value: &Value) -> Result<Arc<Elements>, ExecutorError> {
        value.elements().cloned().ok_or(ExecutorError::ForeignValue("the hostile interpreter"))
    }
}
