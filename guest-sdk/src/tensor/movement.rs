//! The same elements in other places: reshaping, permuting, slicing, joining, converting.

use super::{DType, Tensor, handles, operations, raw};
use crate::error::{Error, expect};

operations! {
    /// The same elements in row-major order under another shape of as many elements.
    fn reshape / try_reshape(self, shape: &[u32]) -> Tensor {
        Tensor::from_raw(raw::reshape(&self.0, shape))
    }

    /// The axes from `axis` on joined into one: `[n, c, h, w]` from 1 on gives `[n, c·h·w]`.
    fn flatten / try_flatten(self, axis: i32) -> Tensor {
        let axis = self.axis("flatten", axis)? as usize;
        let shape = self.shape();
        let (kept, joined) = shape.split_at(axis.min(shape.len()));
        self.try_reshape(&[kept, &[joined.iter().product()]].concat())
    }

    /// Output axis i is input axis `axes[i]`; `axes` is a permutation of all of them.
    fn permute / try_permute(self, axes: &[i32]) -> Tensor {
        Tensor::from_raw(raw::permute(&self.0, &self.axes("permute", axes)?))
    }

    /// Two axes exchanged.
    fn transpose / try_transpose(self, first: i32, second: i32) -> Tensor {
        let (first, second) = (self.axis("transpose", first)?, self.axis("transpose", second)?);
        let rank = self.rank() as u32;
        if first.max(second) >= rank {
            let message = format!("transpose: axes {first} and {second} of a tensor of rank {rank}");
            return Err(Error::argument(message));
        }
        let mut axes: Vec<u32> = (0..rank).collect();
        axes.swap(first as usize, second as usize);
        Tensor::from_raw(raw::permute(&self.0, &axes))
    }

    /// An axis of size 1 before `axis`; −1 is after the last.
    fn unsqueeze / try_unsqueeze(self, axis: i32) -> Tensor {
        let mut shape = self.shape();
        let at = if axis < 0 { shape.len() as i64 + 1 + i64::from(axis) } else { axis.into() };
        if !(0..=shape.len() as i64).contains(&at) {
            return Err(Error::argument(format!("unsqueeze: axis {axis} of a tensor of rank {}", shape.len())));
        }
        shape.insert(at as usize, 1);
        self.try_reshape(&shape)
    }

    /// Broadcast to `shape`: axes are added at the front, and a size 1 stretches.
    fn broadcast_to / try_broadcast_to(self, shape: &[u32]) -> Tensor {
        Tensor::from_raw(raw::broadcast_to(&self.0, shape))
    }

    /// Elements `starts[i] .. ends[i]`, every `steps[i]`-th, along each axis; starts ≤ ends ≤ size, steps ≥ 1.
    fn slice / try_slice(self, starts: &[u32], ends: &[u32], steps: &[u32]) -> Tensor {
        Tensor::from_raw(raw::slice(&self.0, starts, ends, steps))
    }

    /// `length` elements from `start` on along one axis, all along the others.
    fn narrow / try_narrow(self, axis: i32, start: u32, length: u32) -> Tensor {
        let axis = self.axis("narrow", axis)? as usize;
        let mut ends = self.shape();
        let rank = ends.len();
        let end = start.checked_add(length);
        let (Some(size), Some(end)) = (ends.get_mut(axis), end) else {
            return Err(Error::argument(format!(
                "narrow: {length} elements from {start} on along axis {axis} of a tensor of rank {rank}"
            )));
        };
        *size = end;
        let mut starts = vec![0; rank];
        starts[axis] = start;
        self.try_slice(&starts, &ends, &vec![1; rank])
    }

    /// `low[i]` elements of `value` before and `high[i]` after along each axis.
    fn pad / try_pad(self, low: &[u32], high: &[u32], value: f64) -> Tensor {
        Tensor::from_raw(raw::pad(&self.0, low, high, value))
    }

    /// In opposite order along each of `axes`.
    fn flip / try_flip(self, axes: &[i32]) -> Tensor {
        Tensor::from_raw(raw::flip(&self.0, &self.axes("flip", axes)?))
    }

    /// The same tensor as a constant: no gradient flows through it.
    fn detach / try_detach(self) -> Tensor {
        Tensor::from_raw(raw::detach(&self.0))
    }

    /// Converted to another dtype. From floats to i32 and u8: truncated, saturated; from i32 to u8: the low byte.
    /// To boolean: not zero. To f32: exact or nearest. To bf16 and f16: nearest, saturated.
    fn cast / try_cast(self, dtype: DType) -> Tensor {
        Tensor::from_raw(raw::cast(&self.0, dtype))
    }
}

impl Tensor {
    /// One after the other along `axis`: one to 64 tensors of one dtype, equal in every other size.
    ///
    /// # Panics
    /// Where the contract refuses it; [`Tensor::try_concat`] gives the error.
    #[track_caller]
    pub fn concat(tensors: &[&Tensor], axis: i32) -> Tensor {
        expect(Tensor::try_concat(tensors, axis))
    }

    /// [`Tensor::concat`] as a `Result`.
    pub fn try_concat(tensors: &[&Tensor], axis: i32) -> Result<Tensor, Error> {
        let axis = tensors.first().map_or(Ok(0), |tensor| tensor.axis("concat", axis))?;
        Tensor::from_raw(raw::concat(&handles(tensors), axis))
    }
}
