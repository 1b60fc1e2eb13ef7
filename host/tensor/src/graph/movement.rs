//! Movement: the same elements in other places.

use super::{
    Graph, Recorded, argument_error, check_axes, check_dtype, create::scalar_bits, shape_error, shape_of,
};
use crate::{DType, ElementOp, Op, Shape, Tensor, ViewOp, WindowAttributes, gas, limits};

impl Graph {
    /// The same elements in row-major order under another shape.
    pub fn reshape(&mut self, x: &Tensor, sizes: &[usize]) -> Recorded {
        let shape = shape_of("reshape", sizes)?;
        if shape.elements() != x.shape().elements() {
            let message = format!(
                "{} has {} elements, {shape} has {}",
                x.shape(),
                x.shape().elements(),
                shape.elements()
            );
            return shape_error("reshape", message);
        }
        self.view(x, ViewOp::Reshape, shape)
    }

    /// Output axis i is input axis `axes[i]`.
    pub fn permute(&mut self, x: &Tensor, axes: &[usize]) -> Recorded {
        let sorted = check_axes("permute", x.shape(), axes)?;
        if sorted.len() != x.shape().rank() {
            let message = format!("axes {axes:?} of a tensor of shape {}: name every axis once", x.shape());
            return argument_error("permute", message);
        }
        let sizes: Vec<usize> = axes.iter().map(|&axis| x.shape()[axis]).collect();
        self.view(x, ViewOp::Permute { axes: axes.to_vec() }, Shape::of(&sizes))
    }

    /// Broadcast to a shape.
    pub fn broadcast_to(&mut self, x: &Tensor, sizes: &[usize]) -> Recorded {
        let shape = shape_of("broadcast_to", sizes)?;
        if x.shape().broadcast(&shape) != Some(shape) {
            return shape_error("broadcast_to", format!("{} does not broadcast to {shape}", x.shape()));
        }
        self.view(x, ViewOp::Broadcast, shape)
    }

    /// Elements `starts .. ends`, every `steps`-th, along each axis.
    pub fn slice(&mut self, x: &Tensor, starts: &[usize], ends: &[usize], steps: &[usize]) -> Recorded {
        let shape = *x.shape();
        let rank = shape.rank();
        let legal = [starts.len(), ends.len(), steps.len()] == [rank; 3]
            && (0..rank).all(|i| starts[i] <= ends[i] && ends[i] <= shape[i] && steps[i] >= 1);
        if !legal {
            let message = format!(
                "starts {starts:?}, ends {ends:?}, steps {steps:?} of a tensor of shape {shape}: one of each per \
                 axis, starts ≤ ends ≤ size, steps ≥ 1"
            );
            return argument_error("slice", message);
        }
        let sizes: Vec<usize> = (0..rank).map(|i| (ends[i] - starts[i]).div_ceil(steps[i])).collect();
        let view = ViewOp::Slice { starts: starts.to_vec(), steps: steps.to_vec() };
        self.view(x, view, Shape::of(&sizes))
    }

    /// Surrounded by a constant.
    pub fn pad(&mut self, x: &Tensor, low: &[usize], high: &[usize], value: f64) -> Recorded {
        let bits = scalar_bits("pad", x.dtype(), value)?;
        self.pad_bits(x, low, high, &vec![0; x.shape().rank()], bits)
    }

    /// [`Graph::pad`] with the constant's bits, and with elements between neighbours.
    pub(crate) fn pad_bits(
        &mut self,
        x: &Tensor,
        low: &[usize],
        high: &[usize],
        interior: &[usize],
        value: u32,
    ) -> Recorded {
        let shape = *x.shape();
        if [low.len(), high.len()] != [shape.rank(); 2] {
            let message = format!("low {low:?}, high {high:?} of a tensor of shape {shape}: one per axis");
            return argument_error("pad", message);
        }
        let size = |i: usize| {
            let inside = shape[i] + shape[i].saturating_sub(1) * interior[i];
            low[i].saturating_add(inside).saturating_add(high[i])
        };
        let sizes: Vec<usize> = (0..shape.rank()).map(size).collect();
        let padded = shape_of("pad", &sizes)?;
        let op = Op::Pad { low: low.to_vec(), high: high.to_vec(), interior: interior.to_vec(), value };
        self.record(op, &[x], padded, x.dtype())
    }

    /// One after the other along an axis.
    pub fn concat(&mut self, xs: &[&Tensor], axis: usize) -> Recorded {
        let Some(first) = xs.first().filter(|_| xs.len() <= limits::CONCAT_INPUTS_MAX) else {
            let message = format!("{} tensors were given, 1 to {} fit", xs.len(), limits::CONCAT_INPUTS_MAX);
            return argument_error("concat", message);
        };
        self.meter().charge_gas(gas::LISTED * xs.len() as u64)?;
        check_axes("concat", first.shape(), &[axis])?;
        let mut sizes = first.shape().to_vec();
        for x in &xs[1..] {
            check_dtype("concat", x, &[first.dtype()])?;
            let alike = x.shape().rank() == sizes.len()
                && (0..sizes.len()).all(|i| i == axis || x.shape()[i] == first.shape()[i]);
            if !alike {
                let message =
                    format!("{} and {} differ outside axis {axis}; they must not", first.shape(), x.shape());
                return shape_error("concat", message);
            }
            sizes[axis] += x.shape()[axis];
        }
        let shape = shape_of("concat", &sizes)?;
        self.record(Op::Concat { axis }, xs, shape, first.dtype())
    }

    /// In opposite order along axes.
    pub fn flip(&mut self, x: &Tensor, axes: &[usize]) -> Recorded {
        let axes = check_axes("flip", x.shape(), axes)?;
        self.view(x, ViewOp::Flip { axes }, *x.shape())
    }

    /// The tensor itself, through which no gradient flows.
    pub fn detach(&mut self, x: &Tensor) -> Recorded {
        self.view(x, ViewOp::Detach, *x.shape())
    }

    /// Conversion; to its own dtype it is the tensor itself.
    pub fn cast(&mut self, x: &Tensor, dtype: DType) -> Recorded {
        if x.dtype() == dtype {
            return self.reshape(x, x.shape());
        }
        self.record(Op::Element(ElementOp::Cast), &[x], *x.shape(), dtype)
    }

    /// Every position of a window over `[n, c, h, w]`.
    pub(crate) fn window(&mut self, x: &Tensor, window: WindowAttributes) -> Recorded {
        let Some(shape) = window_shape(x.shape(), &window) else {
            let message = format!("a window {window:?} does not fit a tensor of shape {}", x.shape());
            return shape_error("window", message);
        };
        self.view(x, ViewOp::Window(window), shape_of("window", &shape)?)
    }

    pub(crate) fn view(&mut self, x: &Tensor, view: ViewOp, shape: Shape) -> Recorded {
        self.record(Op::View(view), &[x], shape, x.dtype())
    }
}

/// How many windows fit along an axis, or `None` where none does.
pub(crate) fn windows_along(size: usize, kernel: usize, stride: usize, dilation: usize) -> Option<usize> {
    let extent = kernel.checked_sub(1)?.checked_mul(dilation)?.checked_add(1)?;
    Some(size.checked_sub(extent)? / stride + 1)
}

/// `[n, c, oh, ow, kh, kw]` of a window over `[n, c, h, w]`, or `None` where it does not fit.
pub fn window_shape(x: &Shape, window: &WindowAttributes) -> Option<[usize; 6]> {
    let [n, c, h, w] = x[..] else { return None };
    let along = |axis: usize, size| {
        windows_along(size, window.kernel[axis], window.stride[axis], window.dilation[axis])
    };
    Some([n, c, along(0, h)?, along(1, w)?, window.kernel[0], window.kernel[1]])
}
