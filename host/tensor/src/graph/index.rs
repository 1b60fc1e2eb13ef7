//! Indexing: gather, scatter-add, one-hot.

use super::{Graph, Recorded, check_axes, check_dtype, shape_error, shape_of};
use crate::{DType, Op, Shape, Tensor};

impl Graph {
    /// The slices of `x` at the indices along an axis.
    pub fn gather(&mut self, x: &Tensor, axis: usize, indices: &Tensor) -> Recorded {
        check_axes("gather", x.shape(), &[axis])?;
        check_dtype("gather", indices, &[DType::I32])?;
        let shape = gathered_shape("gather", x.shape(), axis, indices.shape())?;
        self.record(Op::Gather { axis }, &[x, indices], shape, x.dtype())
    }

    /// The base plus each slice of the source at its index along an axis.
    pub fn scatter_add(&mut self, base: &Tensor, axis: usize, indices: &Tensor, source: &Tensor) -> Recorded {
        check_dtype("scatter_add", base, &[DType::F32, DType::I32])?;
        check_dtype("scatter_add", source, &[base.dtype()])?;
        check_dtype("scatter_add", indices, &[DType::I32])?;
        check_axes("scatter_add", base.shape(), &[axis])?;
        let expected = gathered_shape("scatter_add", base.shape(), axis, indices.shape())?;
        if *source.shape() != expected {
            let message = format!(
                "the source is {}, but base {} and indices {} along axis {axis} need {expected}",
                source.shape(),
                base.shape(),
                indices.shape()
            );
            return shape_error("scatter_add", message);
        }
        self.record(Op::ScatterAdd { axis }, &[base, indices, source], *base.shape(), base.dtype())
    }

    /// 1 at the index, 0 elsewhere, along a new last axis.
    pub fn one_hot(&mut self, indices: &Tensor, classes: usize) -> Recorded {
        check_dtype("one_hot", indices, &[DType::I32])?;
        let column = shape_of("one_hot", &[indices.shape(), &[1][..]].concat())?;
        self.labelled("one_hot", |graph| {
            let numbers = graph.iota(&[classes])?;
            let column = graph.reshape(indices, &column)?;
            let hot = graph.eq(&column, &numbers)?;
            graph.cast(&hot, DType::F32)
        })
    }
}

fn gathered_shape(operation: &'static str, x: &Shape, axis: usize, indices: &Shape) -> Recorded<Shape> {
    shape_of(operation, &[&x[..axis], indices, &x[axis + 1..]].concat())
}
