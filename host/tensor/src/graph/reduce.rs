//! Reductions. Recorded with the reduced axes kept; dropping them is a reshape.

use super::{Graph, Recorded, argument_error, check_axes, check_dtype};
use crate::{DType, Op, ReduceKind, Tensor};

impl Graph {
    /// Sum over axes (none named: all).
    pub fn sum(&mut self, x: &Tensor, axes: &[usize], keep: bool) -> Recorded {
        check_dtype("sum", x, &[DType::F32, DType::I32])?;
        self.reduce(ReduceKind::Sum, x, axes, keep)
    }

    /// The largest element over axes (none named: all).
    pub fn max(&mut self, x: &Tensor, axes: &[usize], keep: bool) -> Recorded {
        check_dtype("max", x, &[DType::F32, DType::I32])?;
        self.reduce(ReduceKind::Max, x, axes, keep)
    }

    /// The smallest element over axes (none named: all).
    pub fn min(&mut self, x: &Tensor, axes: &[usize], keep: bool) -> Recorded {
        check_dtype("min", x, &[DType::F32, DType::I32])?;
        self.reduce(ReduceKind::Min, x, axes, keep)
    }

    /// The sum divided by the number of elements.
    pub fn mean(&mut self, x: &Tensor, axes: &[usize], keep: bool) -> Recorded {
        check_dtype("mean", x, &[DType::F32])?;
        let named = axes_or_all("mean", x, axes)?;
        let count: usize = named.iter().map(|&axis| x.shape()[axis]).product();
        if count == 0 {
            return argument_error("mean", format!("over no elements: axes {axes:?} of shape {}", x.shape()));
        }
        self.labelled("mean", |graph| {
            let sum = graph.reduce(ReduceKind::Sum, x, axes, keep)?;
            // A tensor has at most 2^27 elements: the count may be rounded, by one exact IEEE rule.
            let count = graph.scalar(count as f32)?;
            graph.div(&sum, &count)
        })
    }

    /// The index of the largest element along an axis.
    pub fn argmax(&mut self, x: &Tensor, axis: usize, keep: bool) -> Recorded {
        self.arg_along("argmax", true, x, axis, keep)
    }

    /// The index of the smallest element along an axis.
    pub fn argmin(&mut self, x: &Tensor, axis: usize, keep: bool) -> Recorded {
        self.arg_along("argmin", false, x, axis, keep)
    }

    fn arg_along(
        &mut self,
        name: &'static str,
        largest: bool,
        x: &Tensor,
        axis: usize,
        keep: bool,
    ) -> Recorded {
        check_dtype(name, x, &[DType::F32, DType::I32])?;
        let axes = check_axes(name, x.shape(), &[axis])?;
        if x.shape()[axis] == 0 {
            return argument_error(name, format!("axis {axis} of shape {} has no elements", x.shape()));
        }
        let kept = self.arg_reduce(largest, x, &axes)?;
        self.drop_axes(kept, &axes, keep)
    }

    /// The position within `axes` of the extreme element; axes are kept. Zero where there is none.
    pub(crate) fn arg_reduce(&mut self, largest: bool, x: &Tensor, axes: &[usize]) -> Recorded {
        let op = Op::ArgReduce { largest, axes: axes.to_vec() };
        self.record(op, &[x], x.shape().keeping(axes), DType::I32)
    }

    pub(crate) fn reduce(&mut self, kind: ReduceKind, x: &Tensor, axes: &[usize], keep: bool) -> Recorded {
        let op = Op::Reduce { kind, axes: Vec::new() };
        let axes = axes_or_all(op.name(), x, axes)?;
        let shape = x.shape().keeping(&axes);
        let kept = self.record(Op::Reduce { kind, axes: axes.clone() }, &[x], shape, x.dtype())?;
        self.drop_axes(kept, &axes, keep)
    }

    fn drop_axes(&mut self, x: Tensor, axes: &[usize], keep: bool) -> Recorded {
        if keep || axes.is_empty() {
            return Ok(x);
        }
        let shape = x.shape().without(axes);
        self.reshape(&x, &shape)
    }
}

fn axes_or_all(operation: &'static str, x: &Tensor, axes: &[usize]) -> Recorded<Vec<usize>> {
    if axes.is_empty() { Ok((0..x.shape().rank()).collect()) } else { check_axes(operation, x.shape(), axes) }
}
