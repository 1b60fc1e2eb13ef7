//! Calls that the contract refuses, and the ways in which a job ends itself.

use anneal_sdk::bindings::tensors as raw;
use anneal_sdk::prelude::*;
use anneal_sdk::tensor::try_gradients;

use crate::states::good;

/// As an operator does it: a panic with file and line.
pub fn wrong_shape(_: &Task) -> Result<State> {
    let sum = Tensor::ones(&[2, 3]) + Tensor::ones(&[4, 5]);
    Ok(State::from([("sum", sum)]))
}

/// As a `try_…` form does it: an error returned.
pub fn wrong_dtype(_: &Task) -> Result<State> {
    let product = Tensor::ones(&[2]).try_mul(Tensor::iota(&[2]))?;
    Ok(State::from([("product", product)]))
}

pub fn wrong_axis(_: &Task) -> Result<State> {
    Ok(State::from([("sum", Tensor::ones(&[2, 3]).try_sum(&[2])?)]))
}

pub fn nan_scalar(_: &Task) -> Result<State> {
    Ok(State::from([("full", Tensor::try_full(&[2], f32::NAN)?)]))
}

pub fn nan_bytes(_: &Task) -> Result<State> {
    Ok(State::from([("bytes", Tensor::try_from_f32(&[2], &[1.0, f32::NAN])?)]))
}

pub fn short_bytes(_: &Task) -> Result<State> {
    Ok(State::from([("bytes", Tensor::try_from_bytes(DType::F32, &[2], &[0; 7])?)]))
}

pub fn rank_9(_: &Task) -> Result<State> {
    Ok(State::from([("full", Tensor::try_ones(&[1; 9])?)]))
}

pub fn too_large(_: &Task) -> Result<State> {
    Ok(State::from([("full", Tensor::try_ones(&[(128 << 18) + 1])?)]))
}

/// The sizes multiply to 0 in 64 bits.
pub fn size_overflow(_: &Task) -> Result<State> {
    Ok(State::from([("full", Tensor::try_ones(&[1 << 31, 1 << 31, 4])?)]))
}

pub fn concat_65(_: &Task) -> Result<State> {
    let one = Tensor::ones(&[1]);
    Ok(State::from([("concat", Tensor::try_concat(&[&one; 65], 0)?)]))
}

/// The SDK reads in parts; this goes past it.
pub fn read_too_much(_: &Task) -> Result<State> {
    let tensor = raw::full(DType::U8, &[(4 << 20) + 1], 0.0).map_err(|error| error.message)?;
    tensor.read().map_err(|error| error.message)?;
    Ok(good())
}

/// Differentiates through an optimiser's step, for which the SDK has no operation of its own.
pub fn no_gradient(_: &Task) -> Result<State> {
    let full = |value| raw::full(DType::F32, &[1], value).map_err(|error| error.message);
    let (parameter, gradient, velocity) = (full(1.0)?, full(1.0)?, full(0.0)?);
    let options = raw::SgdOptions { learning_rate: 0.1, momentum: 0.0, weight_decay: 0.0, nesterov: false };
    let (next, _) = raw::sgd(&parameter, &gradient, &velocity, options).map_err(|error| error.message)?;
    raw::gradients(&next, &[&parameter]).map_err(|error| error.message)?;
    Ok(good())
}

pub fn gradient_of_vector(_: &Task) -> Result<State> {
    let x = Tensor::ones(&[4]);
    let gradients = try_gradients(&x.square(), &[&x])?;
    Ok(State::from([("gradient", gradients[0].clone())]))
}

pub fn unknown_input(_: &Task) -> Result<State> {
    Ok(State::from([("whole", Dataset::open("no-such-input")?.whole()?)]))
}

/// Needs any input.
pub fn row_out_of_range(_: &Task) -> Result<State> {
    let first = Dataset::all().into_iter().next().ok_or("this mode needs an input")?;
    Ok(State::from([("rows", first.rows(&[first.row_count()])?)]))
}

/// Needs any input.
pub fn bytes_out_of_range(_: &Task) -> Result<State> {
    let first = Dataset::all().into_iter().next().ok_or("this mode needs an input")?;
    first.bytes(u64::MAX, u32::MAX)?;
    Ok(good())
}

pub fn open_state_outside_merge(_: &Task) -> Result<State> {
    Ok(merge::open(0)?)
}

pub fn overflow_read(_: &Task) -> Result<State> {
    Tensor::full(&[2], 100.0).exp().try_to_vec_f32()?;
    Ok(good())
}

pub fn error(_: &Task) -> Result<State> {
    Err(Failure::new("the job says no"))
}

pub fn giant_error(_: &Task) -> Result<State> {
    Err(Failure::new("no ".repeat(10 << 20)))
}

pub fn panic(_: &Task) -> Result<State> {
    panic!("the job panics on purpose");
}

pub fn giant_panic(_: &Task) -> Result<State> {
    panic!("{}", "no ".repeat(10 << 20));
}

/// Without a panic's message.
pub fn trap(_: &Task) -> Result<State> {
    #[cfg(target_arch = "wasm32")]
    core::arch::wasm32::unreachable();
    #[cfg(not(target_arch = "wasm32"))]
    Err(Failure::new("there are no traps here"))
}

/// Subnormal numbers, and numbers that round: each bit of them is in the state.
pub fn own_floats(_: &Task) -> Result<State> {
    use std::hint::black_box;
    let mut small = f32::from_bits(0x0080_0001);
    let mut bits = Vec::new();
    for step in 0..100u8 {
        small = black_box(small) * black_box(0.75);
        let third = black_box(1.0f64) / black_box(-3.0 - f64::from(step));
        bits.extend([small.to_bits() as i32, third.to_bits() as i32, (third.to_bits() >> 32) as i32]);
        bits.push((black_box(1.0f32) / black_box(3.0 + f32::from(step))).to_bits() as i32);
    }
    Ok(State::from([("bits", Tensor::try_from_i32(&[bits.len() as u32], &bits)?)]))
}
