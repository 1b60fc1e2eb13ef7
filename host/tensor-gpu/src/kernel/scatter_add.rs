//! Slices added at indices, in ascending source order, without atomics.
//!
//! An invocation owns a part of the indexed axis in one column: it copies the base there, then walks all
//! indices and adds those that fall into its part. Parts are as small as the device needs to be busy.

use anneal_tensor::{
    DType,
    numerics::{arithmetic, integer},
    plan::ScatterAdd,
};

use super::{Buffer, Lowered, Shader, Tuning, index::Axes};

const WORKGROUP: u32 = 64;

pub(super) fn lower(scatter: &ScatterAdd, tuning: Tuning) -> Lowered {
    let (before, after) = (scatter.before.len(), scatter.after.len());
    let count: usize = scatter.indices_shape.iter().product();
    let columns = [&scatter.before[..], &scatter.after].concat();
    let columns_count: usize = columns.iter().product();
    if columns_count == 0 || scatter.size == 0 {
        return Lowered::default();
    }
    let parts = (tuning.invocations / columns_count).clamp(1, scatter.size);
    let part_size = scatter.size.div_ceil(parts);
    let parts = scatter.size.div_ceil(part_size);

    let out_row: usize = scatter.after.iter().product();
    let mut out_strides = vec![0isize; before + after];
    let mut stride = 1;
    for axis in (0..before + after).rev() {
        if axis + 1 == before {
            stride *= scatter.size;
        }
        out_strides[axis] = stride as isize;
        stride *= columns[axis];
    }
    let base = [&scatter.base.strides[..before], &scatter.base.strides[before + 1..]].concat();
    let (source_before, rest) = scatter.source.strides.split_at(before);
    let (source_indices, source_after) = rest.split_at(scatter.indices_shape.len());
    let source = [source_before, source_after].concat();

    let mut shader = Shader::new(tuning);
    let total = shader.number((columns_count * parts) as isize);
    let columns_word = shader.number(columns_count as isize);
    let part_word = shader.number(part_size as isize);
    let size = shader.number(scatter.size as isize);
    let count = shader.number(count as isize);
    let column = Axes::merged(&columns, &[&out_strides, &base, &source]).arguments(&mut shader);
    let row = Axes::merged(&scatter.indices_shape, &[&scatter.indices.strides, source_indices]);
    let row = row.arguments(&mut shader);
    let out_stride = shader.number(out_row as isize);
    let base_stride = shader.number(scatter.base.strides[before]);
    let base_offset = shader.number(scatter.base.offset);
    let indices_offset = shader.number(scatter.indices.offset);
    let source_offset = shader.number(scatter.source.offset);
    let out = shader.write(Buffer::Slot(scatter.out));
    let base = shader.read(Buffer::Slot(scatter.base.slot));
    let indices = shader.read(Buffer::Slot(scatter.indices.slot));
    let source = shader.read(Buffer::Slot(scatter.source.slot));

    shader.line(format!("let number = group * {WORKGROUP}u + lane;"));
    shader.line(format!("if number >= {total} {{ return; }}"));
    shader.line(format!("let part = number / {columns_word};\nlet column = number - part * {columns_word};"));
    let offsets = column.offsets(&mut shader, "column");
    shader.line(format!("let low = part * {part_word};\nlet high = min(low + {part_word}, {size});"));
    shader.line("for (var at = low; at < high; at++) {");
    shader.line(format!(
        "{out}[{} + at * {out_stride}] = {base}[{base_offset} + {} + at * {base_stride}];\n}}",
        offsets[0], offsets[1]
    ));
    shader.line(format!("for (var row = 0u; row < {count}; row++) {{"));
    let rows = row.offsets(&mut shader, "row");
    shader.line(format!("let index = {indices}[{indices_offset} + {}];", rows[0]));
    shader.line("if (index >= low) & (index < high) {");
    shader.line(format!("let place = {} + index * {out_stride};", offsets[0]));
    let element = format!("{source}[{source_offset} + {} + {}]", offsets[2], rows[1]);
    let old = format!("{out}[place]");
    let sum = if scatter.dtype == DType::F32 {
        let (a, b) = (shader.emitter.float_of(&old), shader.emitter.float_of(&element));
        let sum = arithmetic::add(&mut shader.emitter, a, b);
        shader.emitter.float_bits(sum)
    } else {
        let (a, b) = (shader.emitter.word_of(&old), shader.emitter.word_of(&element));
        let sum = integer::add(&mut shader.emitter, a, b);
        shader.emitter.word_name(sum)
    };
    shader.emitted();
    shader.line(format!("{out}[place] = {sum};\n}}\n}}"));
    let dispatch = shader.launch(WORKGROUP, (columns_count * parts).div_ceil(WORKGROUP as usize));
    Lowered { dispatches: vec![dispatch], temporaries: Vec::new() }
}
