//! Kernels: the WGSL text of each step of a plan, what it binds and how many workgroups it needs.
//!
//! Pure text generation, no device. A kernel's text depends on structure only (operations, dtypes, ranks,
//! which slots coincide); sizes, strides and scalars are words of its arguments, so a new learning rate or
//! batch size compiles nothing. Every element is one `u32` word on the device whatever its dtype: bytes and
//! halves would need atomics or packing, and float types would let a driver touch bits that are only copied.
//!
//! Binding 0 is the arguments; word 0 of them is the barrier's zero, word 1 the number of the first workgroup,
//! so that a launch can be cut in several ([`Dispatch::part`]). At most seven buffers follow.

mod arg_reduce;
mod contract;
mod fold;
mod gather;
mod index;
mod map;
mod reduce;
mod scatter_add;

use std::{fmt::Write, ops::Range, sync::Arc};

use anneal_tensor::plan::{Slot, SlotInfo, StepKind};

use crate::emit::Emitter;

/// Storage bindings of a kernel, the arguments included: what every adapter has.
pub const BINDINGS_MAX: usize = 8;
/// Workgroups along one axis of a dispatch: what every adapter has.
pub const GRID_AXIS_MAX: u32 = 65_535;
/// The word of a kernel's arguments that is the number of its first workgroup.
const FIRST_WORKGROUP: usize = 1;
/// Words of one buffer: an index and its strides are 32-bit.
pub const ELEMENTS_MAX: usize = 1 << 27;

/// What may differ between devices without touching a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// A barrier after each step of a contraction's chain, for adapters that fail the order canary without.
    pub barrier_each_step: bool,
    /// SPIR-V with `NoContraction` where the device takes it, else (and everywhere where false) plain WGSL.
    pub no_contraction: bool,
    /// How many invocations a step should be cut into where there is a choice.
    pub invocations: usize,
    /// Into how many pieces each launch is cut, where it has so many workgroups, instead of what a gate wants:
    /// for tests.
    pub pieces: Option<u32>,
    /// Leave out the n-th barrier of each kernel: only for the tests of the lint and of the interpreter.
    pub leave_out_barrier: Option<usize>,
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            barrier_each_step: false,
            no_contraction: true,
            invocations: 1 << 14,
            pieces: None,
            leave_out_barrier: None,
        }
    }
}

/// A buffer that a dispatch binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Buffer {
    /// A slot of the plan.
    Slot(Slot),
    /// The step's own, by number.
    Temporary(usize),
}

/// One launch of one kernel.
#[derive(Clone, Debug)]
pub struct Dispatch {
    /// The kernel.
    pub kernel: Arc<Kernel>,
    /// The words of binding 0; those named in `scalars` are filled in when a plan runs.
    pub arguments: Vec<u32>,
    /// Positions in `arguments`, and the word of the run's scalars that goes there.
    pub scalars: Vec<(usize, usize)>,
    /// Bindings 1…, in order.
    pub buffers: Vec<Buffer>,
    /// Workgroups, to be folded with [`grid`].
    pub workgroups: u32,
}

impl Dispatch {
    /// The arguments of a run with these scalars.
    pub fn bound(&self, scalars: &[u32]) -> Vec<u32> {
        let mut words = self.arguments.clone();
        for &(at, scalar) in &self.scalars {
            words[at] = scalars[scalar];
        }
        words
    }

    /// As [`Dispatch::bound`], where these workgroups alone are launched, with a grid that holds no others. No
    /// workgroup reads what another of its launch writes, so in how many launches they run changes nothing.
    pub fn part(&self, scalars: &[u32], workgroups: &Range<u32>) -> Vec<u32> {
        let mut words = self.bound(scalars);
        words[FIRST_WORKGROUP] = workgroups.start;
        words
    }
}

/// A compiled unit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    /// The WGSL module; the entry point is `main`.
    pub text: String,
    /// For bindings 1…: it is written.
    pub written: Vec<bool>,
    /// How many barriers the emitter put in.
    pub barriers: usize,
}

/// A step as launches, in order.
#[derive(Clone, Debug, Default)]
pub struct Lowered {
    /// In order.
    pub dispatches: Vec<Dispatch>,
    /// The number of elements of each temporary.
    pub temporaries: Vec<usize>,
}

/// The launches of a step; none where it writes no element.
pub fn lower(step: &StepKind, slots: &[SlotInfo], tuning: Tuning) -> Lowered {
    match step {
        StepKind::Map(map) => map::lower(map, slots, tuning),
        StepKind::Reduce(reduce) => reduce::lower(reduce, tuning),
        StepKind::ArgReduce(reduce) => arg_reduce::lower(reduce, tuning),
        StepKind::Contract(contract) => contract::lower(contract, tuning),
        StepKind::Fold(fold) => fold::lower(fold, tuning),
        StepKind::Gather(gather) => gather::lower(gather, tuning),
        StepKind::ScatterAdd(scatter) => scatter_add::lower(scatter, tuning),
    }
}

/// The grid that holds at least this many workgroups, x and y; a kernel numbers them row by row.
pub fn grid(workgroups: u32) -> (u32, u32) {
    let rows = workgroups.div_ceil(GRID_AXIS_MAX).max(1);
    (workgroups.div_ceil(rows), rows)
}

/// A kernel being written.
pub(crate) struct Shader {
    /// Writes all float arithmetic.
    pub(crate) emitter: Emitter,
    arguments: Vec<u32>,
    scalars: Vec<(usize, usize)>,
    buffers: Vec<(Buffer, bool)>,
    globals: String,
    body: String,
    names: usize,
}

impl Shader {
    pub(crate) fn new(tuning: Tuning) -> Shader {
        Shader {
            emitter: tuning.leave_out_barrier.map_or_else(Emitter::new, Emitter::without_barrier),
            arguments: vec![0, 0],
            scalars: Vec::new(),
            buffers: Vec::new(),
            globals: String::new(),
            body: String::new(),
            names: 0,
        }
    }

    /// A word of the arguments; gives its name.
    pub(crate) fn argument(&mut self, word: u32) -> String {
        self.arguments.push(word);
        format!("p{}", self.arguments.len() - 1)
    }

    /// A size or stride as a word of the arguments; negative ones wrap.
    pub(crate) fn number(&mut self, number: isize) -> String {
        self.argument(number as i32 as u32)
    }

    /// A scalar of the run as a word of the arguments.
    pub(crate) fn scalar(&mut self, index: usize) -> String {
        self.scalars.push((self.arguments.len(), index));
        self.argument(0)
    }

    /// The name of a buffer that is read.
    pub(crate) fn read(&mut self, buffer: Buffer) -> String {
        self.bind(buffer, false)
    }

    /// The name of a buffer that is written (and may be read).
    pub(crate) fn write(&mut self, buffer: Buffer) -> String {
        self.bind(buffer, true)
    }

    fn bind(&mut self, buffer: Buffer, written: bool) -> String {
        let at = self.buffers.iter().position(|&(bound, _)| bound == buffer).unwrap_or_else(|| {
            self.buffers.push((buffer, false));
            self.buffers.len() - 1
        });
        self.buffers[at].1 |= written;
        format!("b{}", at + 1)
    }

    /// A name that no other part of the kernel uses.
    pub(crate) fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}_{}", self.names)
    }

    /// Adds a line outside the function.
    pub(crate) fn global(&mut self, line: &str) {
        self.globals.push_str(line);
        self.globals.push('\n');
    }

    /// Adds lines to the function.
    pub(crate) fn line(&mut self, line: impl AsRef<str>) {
        self.body.push_str(line.as_ref());
        self.body.push('\n');
    }

    /// Adds what the emitter wrote to the function.
    pub(crate) fn emitted(&mut self) {
        let text = self.emitter.take();
        self.body.push_str(&text);
    }

    /// The launch of this kernel. `workgroup` is the number of lanes of a workgroup.
    pub(crate) fn launch(mut self, workgroup: u32, workgroups: usize) -> Dispatch {
        self.emitted();
        assert!(self.buffers.len() < BINDINGS_MAX, "a step binds at most {BINDINGS_MAX} buffers");
        let mut text = String::new();
        let declare = "@group(0) @binding(";
        let _ = writeln!(text, "{declare}0) var<storage, read> arguments: array<u32>;");
        for (at, (_, written)) in self.buffers.iter().enumerate() {
            let access = if *written { "read_write" } else { "read" };
            let _ = writeln!(text, "{declare}{0}) var<storage, {access}> b{0}: array<u32>;", at + 1);
        }
        text += &self.globals;
        let _ = writeln!(text, "@compute @workgroup_size({workgroup})");
        text += "fn main(@builtin(workgroup_id) workgroup: vec3<u32>,\n";
        text += "        @builtin(num_workgroups) workgroups: vec3<u32>,\n";
        text += "        @builtin(local_invocation_index) lane: u32) {\n";
        text += "let zero = arguments[0];\n";
        for at in FIRST_WORKGROUP + 1..self.arguments.len() {
            let _ = writeln!(text, "let p{at} = arguments[{at}u];");
        }
        let _ = writeln!(
            text,
            "let group = arguments[{FIRST_WORKGROUP}u] + workgroup.y * workgroups.x + workgroup.x;"
        );
        text += &self.body;
        text += "}\n";
        let written = self.buffers.iter().map(|&(_, written)| written).collect();
        Dispatch {
            kernel: Arc::new(Kernel { text, written, barriers: self.emitter.barriers() }),
            arguments: self.arguments,
            scalars: self.scalars,
            buffers: self.buffers.into_iter().map(|(buffer, _)| buffer).collect(),
            workgroups: u32::try_from(workgroups).expect("a tensor's workgroups fit a word"),
        }
    }
}
