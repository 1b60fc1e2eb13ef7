//! Sums down columns: neighbouring invocations read neighbouring outputs' elements, in rule 5's order.
//!
//! A workgroup takes one block of 16 outputs; an invocation takes lanes g, g + 16, g + 32 and g + 48 of one
//! output, so the tree's first two steps happen in its own variables.

use anneal_tensor::numerics::canonical::{SUM_BLOCK, SUM_LANES};

use super::{Combine, MakeSource};
use crate::kernel::{Buffer, Dispatch, Shader, Tuning};

/// Outputs of a workgroup.
const COLUMNS: usize = 16;
/// Invocations of an output.
const ROWS: usize = 16;
/// Lanes of an invocation.
const LANES: usize = SUM_LANES / ROWS;

/// As `blockwise`, with the same results in the same places.
pub(super) fn columns(
    combine: Combine,
    outputs: usize,
    count: usize,
    source: &MakeSource,
    to: Buffer,
    tuning: Tuning,
) -> Dispatch {
    let blocks = count.div_ceil(SUM_BLOCK);
    let workgroups = outputs.div_ceil(COLUMNS) * blocks;
    let mut shader = Shader::new(tuning);
    let source = source(&mut shader);
    let to = shader.write(to);
    let numbers = [workgroups, blocks, count, outputs];
    let [groups, blocks_word, count, outputs] = numbers.map(|number| shader.number(number as isize));
    shader.global(&format!("var<workgroup> lanes: array<u32, {}>;", ROWS * COLUMNS));

    shader.line(format!("if group >= {groups} {{ return; }}"));
    shader.line(format!("let tile = group / {blocks_word};\nlet block = group - tile * {blocks_word};"));
    shader.line(format!("let column = lane % {COLUMNS}u;\nlet row = lane / {COLUMNS}u;"));
    shader.line(format!("let output = tile * {COLUMNS}u + column;"));
    // A column beyond the end computes the last one and drops it.
    shader.line(format!("let legal = min(output, {outputs} - 1u);"));
    let prepared = source.prepare(&mut shader, "legal");
    let identity = format!("{:#x}u", combine.identity());
    for lane in 0..LANES {
        shader.line(format!("var sum{lane}: u32 = {identity};"));
    }
    shader.line(format!("let end = min((block + 1u) * {SUM_BLOCK}u, {count});"));
    shader.line(format!("for (var first = block * {SUM_BLOCK}u; first < end; first += {SUM_LANES}u) {{"));
    for lane in 0..LANES {
        shader.line("{");
        shader.line(format!("let at = first + row + {}u;\nlet place = min(at, end - 1u);", lane * ROWS));
        let element = source.element(&mut shader, &prepared, "place");
        shader.line(format!("let element = select({identity}, {element}, at < end);"));
        let next = combine.emit(&mut shader.emitter, &format!("sum{lane}"), "element");
        shader.emitted();
        shader.line(format!("sum{lane} = {next};\n}}"));
    }
    shader.line("}");
    let upper = combine.emit(&mut shader.emitter, "sum0", "sum2");
    let lower = combine.emit(&mut shader.emitter, "sum1", "sum3");
    let both = combine.emit(&mut shader.emitter, &upper, &lower);
    shader.emitted();
    shader.line(format!("lanes[lane] = {both};\nworkgroupBarrier();"));
    shader.line(format!("for (var distance = {}u; distance > 0u; distance >>= 1u) {{", ROWS / 2));
    shader.line("if row < distance {");
    let next =
        combine.emit(&mut shader.emitter, "lanes[lane]", &format!("lanes[lane + distance * {COLUMNS}u]"));
    shader.emitted();
    shader.line(format!("lanes[lane] = {next};\n}}\nworkgroupBarrier();\n}}"));
    shader.line(format!("if (row == 0u) & (output < {outputs}) {{"));
    let last = combine.last(&mut shader.emitter, "lanes[column]", blocks);
    shader.emitted();
    shader.line(format!("{to}[output * {blocks_word} + block] = {last};\n}}"));
    shader.launch((ROWS * COLUMNS) as u32, workgroups)
}
