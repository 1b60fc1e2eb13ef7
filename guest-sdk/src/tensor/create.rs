//! Tensors from numbers, constants and random streams.

use super::{DType, Tensor, constructors, raw};
use crate::error::Error;

constructors! {
    /// f32 of this shape from its elements in row-major order. NaN and infinity are refused.
    fn from_f32 / try_from_f32(shape: &[u32], elements: &[f32]) {
        let bytes: Vec<u8> = elements.iter().flat_map(|element| element.to_le_bytes()).collect();
        Tensor::from_raw(raw::from_bytes(DType::F32, shape, &bytes))
    }

    /// i32 of this shape from its elements in row-major order.
    fn from_i32 / try_from_i32(shape: &[u32], elements: &[i32]) {
        let bytes: Vec<u8> = elements.iter().flat_map(|element| element.to_le_bytes()).collect();
        Tensor::from_raw(raw::from_bytes(DType::I32, shape, &bytes))
    }

    /// Any dtype from its elements' bytes: row-major, little-endian, exactly shape × dtype of them.
    fn from_bytes / try_from_bytes(dtype: DType, shape: &[u32], bytes: &[u8]) {
        Tensor::from_raw(raw::from_bytes(dtype, shape, bytes))
    }

    /// Every element `value`; f32, i32, u8 or boolean. A fraction is refused for integers.
    fn full_of / try_full_of(dtype: DType, shape: &[u32], value: f64) {
        Tensor::from_raw(raw::full(dtype, shape, value))
    }

    /// f32, every element `value`.
    fn full / try_full(shape: &[u32], value: f32) {
        Tensor::try_full_of(DType::F32, shape, value.into())
    }

    /// f32, every element 0.
    fn zeros / try_zeros(shape: &[u32]) {
        Tensor::try_full(shape, 0.0)
    }

    /// f32, every element 1.
    fn ones / try_ones(shape: &[u32]) {
        Tensor::try_full(shape, 1.0)
    }

    /// f32 of rank 0.
    fn scalar / try_scalar(value: f32) {
        Tensor::try_full(&[], value)
    }

    /// i32 0, 1, 2 … in row-major order.
    fn iota / try_iota(shape: &[u32]) {
        Tensor::from_raw(raw::iota(shape))
    }

    /// f32 uniform in [0, 1), 24 random bits each, of the task's random `stream`; see
    /// [`stream`](crate::random::stream) for naming one. The same stream gives the same numbers.
    fn uniform / try_uniform(shape: &[u32], stream: u64) {
        Tensor::from_raw(raw::uniform(shape, stream))
    }

    /// f32 from the standard normal distribution, otherwise as [`Tensor::uniform`].
    fn normal / try_normal(shape: &[u32], stream: u64) {
        Tensor::from_raw(raw::normal(shape, stream))
    }
}
