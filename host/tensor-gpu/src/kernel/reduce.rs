//! Reductions: rule 5's sum, the wrapping sum, and the order-free largest and smallest.
//!
//! Long ones take a workgroup of 64 lanes for each block of 1024 elements, and again for the block results,
//! until one is left. Short ones take one invocation for an output, which adds in the same order: lane l of a
//! block is element l there, and what the tree adds in its last steps is known while the text is written.

mod columns;

use anneal_tensor::{
    DType, ReduceKind,
    numerics::{
        Scalar, arithmetic,
        canonical::{MAX, SUM_BLOCK, SUM_LANES, canon_sum},
        integer,
    },
    plan::Reduce,
};

use super::{
    Buffer, Dispatch, Lowered, Shader, Tuning,
    index::{Addresses, Axes},
};
use crate::emit::Emitter;

/// Up to how many reduced elements one invocation adds them all.
const UNROLLED_MAX: usize = 32;
/// Lanes of a workgroup in the unrolled form.
const UNROLLED_WORKGROUP: u32 = 64;

pub(super) fn lower(reduce: &Reduce, tuning: Tuning) -> Lowered {
    let (kept, reduced) = reduce.x.strides.split_at(reduce.kept.len());
    let combine = Combine { kind: reduce.kind, dtype: reduce.dtype };
    let outputs = reduce.kept.iter().product();
    let count = reduce.reduced.iter().product();
    let source = |shader: &mut Shader| {
        let buffer = shader.read(Buffer::Slot(reduce.x.slot));
        Box::new(Strided {
            buffer,
            base: shader.number(reduce.x.offset),
            kept: Axes::merged(&reduce.kept, &[kept]).arguments(shader),
            reduced: Axes::merged(&reduce.reduced, &[reduced]).arguments(shader),
        }) as Box<dyn Source>
    };
    let innermost = |strides: &[isize]| strides.iter().rev().find(|&&stride| stride != 0).map(|s| s.abs());
    let down_columns =
        innermost(kept).is_some_and(|kept| innermost(reduced).is_none_or(|reduced| kept < reduced));
    reduction(combine, outputs, count, &source, reduce.out, down_columns, tuning)
}

/// What is reduced.
pub(super) trait Source {
    /// Writes what depends on the output only; `output` names its number.
    fn prepare(&self, shader: &mut Shader, output: &str) -> Vec<String>;
    /// Writes what finds element `position` of that output; gives the expression of its word, legal only
    /// where `position` is in range.
    fn element(&self, shader: &mut Shader, prepared: &[String], position: &str) -> String;
}

/// Makes the source's arguments and buffers part of a kernel.
pub(super) type MakeSource<'a> = dyn Fn(&mut Shader) -> Box<dyn Source> + 'a;

/// Launches that reduce `count` elements for each of `outputs`. `down_columns`: elements of neighbouring
/// outputs are closer in memory than those of one.
pub(super) fn reduction(
    combine: Combine,
    outputs: usize,
    count: usize,
    source: &MakeSource,
    out: usize,
    down_columns: bool,
    tuning: Tuning,
) -> Lowered {
    let mut lowered = Lowered::default();
    if outputs == 0 {
        return lowered;
    }
    let out = Buffer::Slot(out);
    if count <= UNROLLED_MAX {
        lowered.dispatches.push(unrolled(combine, outputs, count, source, out, tuning));
        return lowered;
    }
    let mut blocks = count.div_ceil(SUM_BLOCK);
    let mut to = if blocks == 1 { out } else { Buffer::Temporary(0) };
    let first = if down_columns { columns::columns } else { blockwise };
    lowered.dispatches.push(first(combine, outputs, count, source, to, tuning));
    while blocks > 1 {
        let (from, partial) = (to, blocks);
        lowered.temporaries.push(outputs * partial);
        blocks = partial.div_ceil(SUM_BLOCK);
        to = if blocks == 1 { out } else { Buffer::Temporary(lowered.temporaries.len()) };
        let again = move |shader: &mut Shader| {
            Box::new(Partial { buffer: shader.read(from), count: shader.number(partial as isize) })
                as Box<dyn Source>
        };
        lowered.dispatches.push(blockwise(combine, outputs, partial, &again, to, tuning));
    }
    lowered
}

/// A workgroup for each block of each output.
fn blockwise(
    combine: Combine,
    outputs: usize,
    count: usize,
    source: &MakeSource,
    to: Buffer,
    tuning: Tuning,
) -> Dispatch {
    let blocks = count.div_ceil(SUM_BLOCK);
    let mut shader = Shader::new(tuning);
    let source = source(&mut shader);
    let to = shader.write(to);
    let groups = shader.number((outputs * blocks) as isize);
    let blocks_word = shader.number(blocks as isize);
    let count_word = shader.number(count as isize);
    shader.global(&format!("var<workgroup> lanes: array<u32, {SUM_LANES}>;"));

    shader.line(format!("if group >= {groups} {{ return; }}"));
    shader.line(format!("let output = group / {blocks_word};"));
    shader.line(format!("let block = group - output * {blocks_word};"));
    let prepared = source.prepare(&mut shader, "output");
    shader.line(format!("var sum: u32 = {:#x}u;", combine.identity()));
    shader.line(format!("let first = block * {SUM_BLOCK}u + lane;"));
    shader.line(format!("let end = min((block + 1u) * {SUM_BLOCK}u, {count_word});"));
    shader.line(format!("for (var at = first; at < end; at += {SUM_LANES}u) {{"));
    let element = source.element(&mut shader, &prepared, "at");
    let next = combine.emit(&mut shader.emitter, "sum", &element);
    shader.emitted();
    shader.line(format!("sum = {next};\n}}"));
    shader.line("lanes[lane] = sum;\nworkgroupBarrier();");
    shader.line(format!("for (var distance = {}u; distance > 0u; distance >>= 1u) {{", SUM_LANES / 2));
    shader.line("if lane < distance {");
    let next = combine.emit(&mut shader.emitter, "lanes[lane]", "lanes[lane + distance]");
    shader.emitted();
    shader.line(format!("lanes[lane] = {next};\n}}\nworkgroupBarrier();\n}}"));
    shader.line("if lane == 0u {");
    let last = combine.last(&mut shader.emitter, "lanes[0]", blocks);
    shader.emitted();
    shader.line(format!("{to}[group] = {last};\n}}"));
    shader.launch(SUM_LANES as u32, outputs * blocks)
}

/// An invocation for each output.
fn unrolled(
    combine: Combine,
    outputs: usize,
    count: usize,
    source: &MakeSource,
    to: Buffer,
    tuning: Tuning,
) -> Dispatch {
    let mut shader = Shader::new(tuning);
    let source = source(&mut shader);
    let to = shader.write(to);
    let outputs_word = shader.number(outputs as isize);
    let count_word = shader.number(count as isize);
    shader.line(format!("let output = group * {UNROLLED_WORKGROUP}u + lane;"));
    shader.line(format!("if output >= {outputs_word} {{ return; }}"));
    let identity = format!("{:#x}u", combine.identity());
    let sum = if count == 0 {
        identity
    } else {
        let prepared = source.prepare(&mut shader, "output");
        let lanes = count.next_power_of_two();
        let mut leaves = Vec::new();
        for lane in 0..lanes {
            // A lane beyond the end reads the last element and drops it.
            let (at, leaf) = (shader.name("at"), shader.name("leaf"));
            shader.line(format!("let {at} = min({lane}u, {count_word} - 1u);"));
            let element = source.element(&mut shader, &prepared, &at);
            shader.line(format!("let {leaf} = select({identity}, {element}, {lane}u < {count_word});"));
            leaves.push(leaf);
        }
        // As in a workgroup: lane l takes in lane l + distance, for distance = lanes / 2, …, 1.
        while leaves.len() > 1 {
            let distance = leaves.len() / 2;
            let upper = leaves.split_off(distance);
            for (lower, upper) in leaves.iter_mut().zip(&upper) {
                *lower = combine.emit(&mut shader.emitter, lower, upper);
            }
        }
        combine.finish(&mut shader.emitter, &leaves[0])
    };
    shader.emitted();
    shader.line(format!("{to}[output] = {sum};"));
    shader.launch(UNROLLED_WORKGROUP, outputs.div_ceil(UNROLLED_WORKGROUP as usize))
}

/// How two elements become one.
#[derive(Clone, Copy)]
pub(super) struct Combine {
    pub(super) kind: ReduceKind,
    pub(super) dtype: DType,
}

impl Combine {
    /// The word of what nothing reduces to.
    pub(super) fn identity(self) -> u32 {
        match (self.kind, self.dtype) {
            (ReduceKind::Sum, _) => 0,
            (ReduceKind::Max, DType::F32) => (-MAX).to_bits(),
            (ReduceKind::Min, DType::F32) => MAX.to_bits(),
            (ReduceKind::Max, _) => i32::MIN as u32,
            (ReduceKind::Min, _) => i32::MAX as u32,
        }
    }

    /// The word of two words combined.
    fn emit(self, emitter: &mut Emitter, a: &str, b: &str) -> String {
        if self.dtype == DType::F32 {
            let (a, b) = (emitter.float_of(a), emitter.float_of(b));
            let both = match self.kind {
                ReduceKind::Sum => emitter.add(a, b),
                ReduceKind::Max => arithmetic::max(emitter, a, b),
                ReduceKind::Min => arithmetic::min(emitter, a, b),
            };
            emitter.float_bits(both)
        } else {
            let (a, b) = (emitter.word_of(a), emitter.word_of(b));
            let both = match self.kind {
                ReduceKind::Sum => emitter.uadd(a, b),
                ReduceKind::Max => integer::max(emitter, a, b),
                ReduceKind::Min => integer::min(emitter, a, b),
            };
            emitter.word_name(both)
        }
    }

    /// The word of a block's result: the output's where there is one block.
    fn last(self, emitter: &mut Emitter, sum: &str, blocks: usize) -> String {
        if blocks == 1 { self.finish(emitter, sum) } else { sum.to_owned() }
    }

    /// The word of the result: a float sum is clamped once.
    fn finish(self, emitter: &mut Emitter, sum: &str) -> String {
        if self.dtype != DType::F32 || self.kind != ReduceKind::Sum {
            return sum.to_owned();
        }
        let sum = emitter.float_of(sum);
        let canonical = canon_sum(emitter, sum);
        emitter.float_bits(canonical)
    }
}

/// A view: strides over what is kept and over what is reduced.
struct Strided {
    buffer: String,
    base: String,
    kept: Addresses,
    reduced: Addresses,
}

impl Source for Strided {
    fn prepare(&self, shader: &mut Shader, output: &str) -> Vec<String> {
        self.kept.offsets(shader, output)
    }

    fn element(&self, shader: &mut Shader, prepared: &[String], position: &str) -> String {
        let offsets = self.reduced.offsets(shader, position);
        format!("{}[{} + {} + {}]", self.buffer, self.base, prepared[0], offsets[0])
    }
}

/// The block results of the launch before.
struct Partial {
    buffer: String,
    count: String,
}

impl Source for Partial {
    fn prepare(&self, _: &mut Shader, output: &str) -> Vec<String> {
        vec![output.to_owned()]
    }

    fn element(&self, _: &mut Shader, prepared: &[String], position: &str) -> String {
        format!("{}[{} * {} + {position}]", self.buffer, prepared[0], self.count)
    }
}
