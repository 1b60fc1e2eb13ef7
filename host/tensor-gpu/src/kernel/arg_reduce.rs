//! The position of the largest or smallest element; ties take the lowest position, so any order will do.

use anneal_tensor::{
    DType, ReduceKind,
    numerics::{Scalar, canonical::SUM_LANES},
    plan::ArgReduce,
};

use super::{Buffer, Lowered, Shader, Tuning, index::Axes, reduce::Combine};
use crate::emit::Emitter;

pub(super) fn lower(reduce: &ArgReduce, tuning: Tuning) -> Lowered {
    let outputs: usize = reduce.kept.iter().product();
    let count: usize = reduce.reduced.iter().product();
    if outputs == 0 {
        return Lowered::default();
    }
    let (kept, reduced) = reduce.x.strides.split_at(reduce.kept.len());
    let kind = if reduce.largest { ReduceKind::Max } else { ReduceKind::Min };
    let worst = Combine { kind, dtype: reduce.dtype }.identity();
    let mut shader = Shader::new(tuning);
    let x = shader.read(Buffer::Slot(reduce.x.slot));
    let out = shader.write(Buffer::Slot(reduce.out));
    let groups = shader.number(outputs as isize);
    let count = shader.number(count as isize);
    let base = shader.number(reduce.x.offset);
    let kept = Axes::merged(&reduce.kept, &[kept]).arguments(&mut shader);
    let reduced = Axes::merged(&reduce.reduced, &[reduced]).arguments(&mut shader);
    shader.global(&format!("var<workgroup> values: array<u32, {SUM_LANES}>;"));
    shader.global(&format!("var<workgroup> positions: array<u32, {SUM_LANES}>;"));

    shader.line(format!("if group >= {groups} {{ return; }}"));
    let row = kept.offsets(&mut shader, "group");
    // A lane without elements holds the worst value at a position behind all others.
    shader.line(format!("var value: u32 = {worst:#x}u;\nvar position: u32 = 0xffffffffu;"));
    shader.line(format!("for (var at = lane; at < {count}; at += {SUM_LANES}u) {{"));
    let offsets = reduced.offsets(&mut shader, "at");
    shader.line(format!("let other = {x}[{base} + {} + {}];", row[0], offsets[0]));
    let better = better(&mut shader.emitter, reduce, ["other", "at"], ["value", "position"]);
    shader.emitted();
    shader.line(format!("value = select(value, other, {better});"));
    shader.line(format!("position = select(position, at, {better});\n}}"));
    shader.line("values[lane] = value;\npositions[lane] = position;\nworkgroupBarrier();");
    shader.line(format!("for (var distance = {}u; distance > 0u; distance >>= 1u) {{", SUM_LANES / 2));
    shader.line("if lane < distance {");
    shader.line("let other = values[lane + distance];\nlet at = positions[lane + distance];");
    let better = self::better(&mut shader.emitter, reduce, ["other", "at"], ["value", "position"]);
    shader.emitted();
    shader.line(format!("value = select(value, other, {better});"));
    shader.line(format!("position = select(position, at, {better});"));
    shader.line("values[lane] = value;\npositions[lane] = position;\n}\nworkgroupBarrier();\n}");
    shader.line(format!("if lane == 0u {{ {out}[group] = select(position, 0u, {count} == 0u); }}"));
    let dispatch = shader.launch(SUM_LANES as u32, outputs);
    Lowered { dispatches: vec![dispatch], temporaries: Vec::new() }
}

/// The name of the truth that the first pair of value and position is to be preferred.
fn better(emitter: &mut Emitter, reduce: &ArgReduce, new: [&str; 2], old: [&str; 2]) -> String {
    let (new_position, old_position) = (emitter.word_of(new[1]), emitter.word_of(old[1]));
    let earlier = emitter.ult(new_position, old_position);
    let (more, same) = if reduce.dtype == DType::F32 {
        let (a, b) = (emitter.float_of(new[0]), emitter.float_of(old[0]));
        (if reduce.largest { emitter.lt(b, a) } else { emitter.lt(a, b) }, emitter.eq(a, b))
    } else {
        let (a, b) = (emitter.word_of(new[0]), emitter.word_of(old[0]));
        (if reduce.largest { emitter.ilt(b, a) } else { emitter.ilt(a, b) }, emitter.ueq(a, b))
    };
    let first = emitter.both(same, earlier);
    let better = emitter.either(more, first);
    emitter.truth_name(better)
}
