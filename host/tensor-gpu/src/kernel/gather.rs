//! Slices at indices: one invocation an output element; an index out of range gives zero.

use anneal_tensor::plan::Gather;

use super::{Buffer, Lowered, Shader, Tuning, index::Axes};

const WORKGROUP: u32 = 128;

pub(super) fn lower(gather: &Gather, tuning: Tuning) -> Lowered {
    let (before, after) = (gather.before.len(), gather.after.len());
    let sizes = [&gather.before[..], &gather.indices_shape, &gather.after].concat();
    let total: usize = sizes.iter().product();
    if total == 0 {
        return Lowered::default();
    }
    let none = |axes: usize| vec![0isize; axes];
    let x = [&gather.x.strides[..before], &none(gather.indices_shape.len()), &gather.x.strides[before + 1..]];
    let indices = [&none(before)[..], &gather.indices.strides, &none(after)];
    let mut shader = Shader::new(tuning);
    let count = shader.number(total as isize);
    let addresses = Axes::merged(&sizes, &[&x.concat(), &indices.concat()]).arguments(&mut shader);
    let x_base = shader.number(gather.x.offset);
    let x_stride = shader.number(gather.x.strides[before]);
    let size = shader.number(gather.size as isize);
    let indices_base = shader.number(gather.indices.offset);
    let x = shader.read(Buffer::Slot(gather.x.slot));
    let indices = shader.read(Buffer::Slot(gather.indices.slot));
    let out = shader.write(Buffer::Slot(gather.out));

    shader.line(format!("let element = group * {WORKGROUP}u + lane;"));
    shader.line(format!("if element >= {count} {{ return; }}"));
    let offsets = addresses.offsets(&mut shader, "element");
    shader.line(format!("let index = {indices}[{indices_base} + {}];", offsets[1]));
    // A negative index is a large word.
    shader.line("var word: u32 = 0u;");
    shader.line(format!("if index < {size} {{"));
    shader.line(format!("word = {x}[{x_base} + {} + index * {x_stride}];\n}}", offsets[0]));
    shader.line(format!("{out}[element] = word;"));
    let dispatch = shader.launch(WORKGROUP, total.div_ceil(WORKGROUP as usize));
    Lowered { dispatches: vec![dispatch], temporaries: Vec::new() }
}
