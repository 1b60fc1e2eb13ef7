//! Element-wise steps: one invocation an index, loads, a straight-line program, stores.

use anneal_tensor::{
    DType,
    numerics::{Lane, evaluate},
    plan::{Map, SlotInfo},
};

use super::{Buffer, Lowered, Shader, Tuning, index::Axes};
use crate::emit::Emitter;

const WORKGROUP: u32 = 128;

pub(super) fn lower(map: &Map, slots: &[SlotInfo], tuning: Tuning) -> Lowered {
    let total: usize = map.shape.iter().product();
    if total == 0 || map.stores.is_empty() {
        return Lowered::default();
    }
    let mut shader = Shader::new(tuning);
    let count = shader.number(total as isize);
    let views: Vec<_> =
        map.loads.iter().map(|(view, _)| view).chain(map.stores.iter().map(|(_, view)| view)).collect();
    let strides: Vec<&[isize]> = views.iter().map(|view| &view.strides[..]).collect();
    let addresses = Axes::merged(&map.shape, &strides).arguments(&mut shader);
    let bases: Vec<String> = views.iter().map(|view| shader.number(view.offset)).collect();

    shader.line(format!("let index = group * {WORKGROUP}u + lane;"));
    shader.line(format!("if index >= {count} {{ return; }}"));
    let offsets = addresses.offsets(&mut shader, "index");
    let index = shader.emitter.word_of("index");

    let mut registers: Vec<(Lane<Emitter>, DType)> = Vec::new();
    for (at, (view, dtype)) in map.loads.iter().enumerate() {
        let buffer = shader.read(Buffer::Slot(view.slot));
        let element = format!("{buffer}[{} + {}]", bases[at], offsets[at]);
        registers.push((load(&mut shader.emitter, &element, *dtype), *dtype));
    }
    for instruction in &map.instructions {
        let inputs: Vec<_> = instruction.inputs.iter().map(|&register| registers[register].0).collect();
        let dtypes: Vec<_> = instruction.inputs.iter().map(|&register| registers[register].1).collect();
        let mut scalars = Vec::new();
        for at in 0..instruction.op.scalars().len() {
            let name = shader.scalar(instruction.scalars + at);
            scalars.push(shader.emitter.word_of(&name));
        }
        let (op, dtype) = (&instruction.op, instruction.dtype);
        let result = evaluate(&mut shader.emitter, op, &inputs, &dtypes, dtype, &scalars, index);
        registers.push((result, dtype));
    }
    shader.emitted();
    for (at, (register, view)) in map.stores.iter().enumerate() {
        debug_assert_eq!(slots[view.slot].dtype, registers[*register].1);
        let buffer = shader.write(Buffer::Slot(view.slot));
        let word = bits(&shader.emitter, registers[*register].0);
        let at = map.loads.len() + at;
        shader.line(format!("{buffer}[{} + {}] = {word};", bases[at], offsets[at]));
    }
    let workgroups = total.div_ceil(WORKGROUP as usize);
    Lowered { dispatches: vec![shader.launch(WORKGROUP, workgroups)], temporaries: Vec::new() }
}

/// The lane of an element of this dtype, from the expression of its word.
pub(super) fn load(emitter: &mut Emitter, element: &str, dtype: DType) -> Lane<Emitter> {
    match dtype {
        DType::F32 => Lane::F(emitter.float_of(element)),
        DType::Bool => Lane::B(emitter.truth_of(&format!("{element} != 0u"))),
        DType::I32 | DType::U8 | DType::Bf16 | DType::F16 => Lane::U(emitter.word_of(element)),
    }
}

/// The expression of a lane's word.
pub(super) fn bits(emitter: &Emitter, lane: Lane<Emitter>) -> String {
    match lane {
        Lane::F(float) => emitter.float_bits(float),
        Lane::U(word) => emitter.word_name(word),
        Lane::B(truth) => emitter.truth_bits(truth),
    }
}
