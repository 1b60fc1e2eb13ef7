//! The reference interpreter: one obviously right implementation of every operation, the oracle of every
//! backend.
//!
//! It computes node by node on one thread, fuses nothing and plans nothing. What an element operation does to
//! its elements is `numerics::element`; which elements meet is [`interpreter`]; in which order products and
//! sums are added is [`sums`]. Not for work: a backend is hundreds of times faster and gives the same bits.

mod contract;
pub(crate) mod interpreter;
mod places;
mod sums;

use std::sync::Arc;

use crate::{
    DType, DeviceInfo, ElementOp, Elements, Executor, ExecutorError, ReduceKind, Tensor, Value,
    numerics::{
        Lane, Native,
        canonical::{MAX, canon_sum, round12},
        element,
    },
};
use interpreter::{Arithmetic, Operand};

/// The reference interpreter as an executor.
#[derive(Debug)]
pub struct Reference {
    device: DeviceInfo,
}

impl Reference {
    /// The reference interpreter.
    pub fn new() -> Reference {
        Reference {
            device: DeviceInfo {
                backend: "reference",
                name: "reference interpreter".to_owned(),
                driver: String::new(),
                threads: 1,
                memory_bytes: None,
                software: true,
            },
        }
    }
}

impl Default for Reference {
    fn default() -> Reference {
        Reference::new()
    }
}

impl Executor for Reference {
    fn device(&self) -> &DeviceInfo {
        &self.device
    }

    fn evaluate(&mut self, targets: &[Tensor]) -> Result<Vec<Value>, ExecutorError> {
        let known = |node: &Tensor| node.value().map(words_of).transpose();
        let results = interpreter::evaluate(&Canonical, targets, known)?;
        let value = |(target, words): (&Tensor, Vec<u32>)| {
            let elements = Elements::from_words(target.dtype(), words.into_iter());
            Value::host(target.dtype(), *target.shape(), elements)
        };
        Ok(targets.iter().zip(results).map(value).collect())
    }

    fn read(&mut self, value: &Value) -> Result<Arc<Elements>, ExecutorError> {
        value.elements().cloned().ok_or(ExecutorError::ForeignValue("the reference interpreter"))
    }
}

fn words_of(value: &Value) -> Result<Vec<u32>, ExecutorError> {
    let elements = value.elements().ok_or(ExecutorError::ForeignValue("the reference interpreter"))?;
    Ok((0..elements.len()).map(|index| elements.word(index)).collect())
}

/// Canonical arithmetic on words: an f32's or i32's bits, a smaller integer's value, a half float's bits.
struct Canonical;

impl Arithmetic for Canonical {
    type Element = u32;

    fn constant(&self, _: DType, bits: u32) -> u32 {
        bits
    }

    fn map(&self, op: &ElementOp, inputs: &[Operand<u32>], output: DType, count: usize) -> Vec<u32> {
        let dtypes: Vec<DType> = inputs.iter().map(|input| input.dtype).collect();
        let scalars = op.scalars();
        let mut lanes = Vec::with_capacity(inputs.len());
        let at = |index: usize| {
            lanes.clear();
            lanes.extend(inputs.iter().map(|input| lane(input.elements[index], input.dtype)));
            word(element::evaluate(&mut Native, op, &lanes, &dtypes, output, &scalars, index as u32))
        };
        (0..count).map(at).collect()
    }

    fn reduce(&self, kind: ReduceKind, dtype: DType, elements: &[u32]) -> u32 {
        match dtype {
            DType::F32 => {
                let elements: Vec<f32> = elements.iter().copied().map(f32::from_bits).collect();
                reduce_f32(kind, &elements).to_bits()
            }
            _ => reduce_i32(kind, elements.iter().map(|&word| word as i32)) as u32,
        }
    }

    fn less(&self, dtype: DType, a: u32, b: u32) -> bool {
        match dtype {
            DType::F32 => f32::from_bits(a) < f32::from_bits(b),
            _ => (a as i32) < b as i32,
        }
    }

    fn add(&self, dtype: DType, a: u32, b: u32) -> u32 {
        match dtype {
            DType::F32 => canon_sum(&mut Native, f32::from_bits(a) + f32::from_bits(b)).to_bits(),
            _ => a.wrapping_add(b),
        }
    }

    fn factor(&self, x: u32) -> u32 {
        round12(&mut Native, f32::from_bits(x)).to_bits()
    }

    fn dot(&self, terms: impl Iterator<Item = (u32, u32)>) -> u32 {
        sums::dot(terms.map(|(a, b)| (f32::from_bits(a), f32::from_bits(b)))).to_bits()
    }

    fn integer(&self, x: u32) -> i64 {
        i64::from(x as i32)
    }

    fn position(&self, position: usize) -> u32 {
        position as u32
    }
}

fn reduce_f32(kind: ReduceKind, elements: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if a < b { b } else { a };
    let smaller = |a: f32, b: f32| if b < a { b } else { a };
    match kind {
        ReduceKind::Sum => sums::sum(elements),
        ReduceKind::Max => elements.iter().copied().fold(-MAX, larger),
        ReduceKind::Min => elements.iter().copied().fold(MAX, smaller),
    }
}

fn reduce_i32(kind: ReduceKind, elements: impl Iterator<Item = i32>) -> i32 {
    match kind {
        ReduceKind::Sum => elements.fold(0, i32::wrapping_add),
        ReduceKind::Max => elements.fold(i32::MIN, i32::max),
        ReduceKind::Min => elements.fold(i32::MAX, i32::min),
    }
}

fn lane(word: u32, dtype: DType) -> Lane<Native> {
    match dtype {
        DType::F32 => Lane::F(f32::from_bits(word)),
        DType::Bool => Lane::B(word != 0),
        DType::I32 | DType::U8 | DType::Bf16 | DType::F16 => Lane::U(word),
    }
}

fn word(lane: Lane<Native>) -> u32 {
    match lane {
        Lane::F(float) => float.to_bits(),
        Lane::U(word) => word,
        Lane::B(truth) => u32::from(truth),
    }
}

#[cfg(test)]
mod tests;
