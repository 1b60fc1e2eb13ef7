//! Elements chosen by the numbers in another tensor.

use super::{Tensor, operations, raw};
use crate::error::Error;

operations! {
    /// This `[a…, size, b…]`, `indices` i32 `[i…]` → `[a…, i…, b…]`: the slices at the indices along `axis`. An
    /// index out of range gives zero. With axis 0 this is an embedding.
    fn gather / try_gather(self, axis: i32, indices: &Tensor) -> Tensor {
        Tensor::from_raw(raw::gather(&self.0, self.axis("gather", axis)?, &indices.0))
    }

    /// This `[a…, size, b…]` plus each slice of `source [a…, i…, b…]` at its index (`indices` i32 `[i…]`) along
    /// `axis`, in ascending source order. An index out of range is dropped. f32 or i32.
    fn scatter_add / try_scatter_add(self, axis: i32, indices: &Tensor, source: &Tensor) -> Tensor {
        let axis = self.axis("scatter_add", axis)?;
        Tensor::from_raw(raw::scatter_add(&self.0, axis, &indices.0, &source.0))
    }

    /// This i32 `[i…]` → f32 `[i…, classes]`, 1 at the index and 0 elsewhere; all zero where it is out of range.
    fn one_hot / try_one_hot(self, classes: u32) -> Tensor {
        Tensor::from_raw(raw::one_hot(&self.0, classes))
    }
}
