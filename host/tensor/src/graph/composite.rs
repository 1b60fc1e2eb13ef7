//! The contract's larger operations, as compositions of the smaller ones: their bits and their gradients
//! follow from those of their parts.

use super::{Graph, Recorded, argument_error, check_axes, check_dtype};
use crate::{DType, ReduceKind, Tensor, WindowAttributes, numerics};

/// The attributes of a pooling window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2dOptions {
    /// Rows and columns of the window.
    pub kernel: [usize; 2],
    /// Distance between windows.
    pub stride: [usize; 2],
    /// Rows and columns added on both sides.
    pub padding: [usize; 2],
}

impl Graph {
    /// max(x, 0).
    pub fn relu(&mut self, x: &Tensor) -> Recorded {
        check_dtype("relu", x, &[DType::F32])?;
        self.labelled("relu", |graph| {
            // The tie goes to the zero, so the derivative at 0 is 0 (rule 7).
            let zero = graph.scalar(0.0)?;
            graph.maximum(&zero, x)
        })
    }

    /// x · (1 + erf(x / √2)) / 2.
    pub fn gelu(&mut self, x: &Tensor) -> Recorded {
        check_dtype("gelu", x, &[DType::F32])?;
        self.labelled("gelu", |graph| {
            let root = graph.scalar(std::f32::consts::FRAC_1_SQRT_2)?;
            let one = graph.scalar(1.0)?;
            let half = graph.scalar(0.5)?;
            let scaled = graph.mul(x, &root)?;
            let erf = graph.erf(&scaled)?;
            let gate = graph.add(&one, &erf)?;
            let halved = graph.mul(x, &half)?;
            graph.mul(&halved, &gate)
        })
    }

    /// x · sigmoid(x).
    pub fn silu(&mut self, x: &Tensor) -> Recorded {
        check_dtype("silu", x, &[DType::F32])?;
        self.labelled("silu", |graph| {
            let gate = graph.sigmoid(x)?;
            graph.mul(x, &gate)
        })
    }

    /// The largest of each window.
    pub fn max_pool2d(&mut self, x: &Tensor, options: Pool2dOptions) -> Recorded {
        let lowest = (-numerics::MAX).to_bits();
        self.pool("max_pool2d", x, options, lowest, |graph, windows| {
            graph.reduce(ReduceKind::Max, windows, &[4, 5], false)
        })
    }

    /// The mean of each window.
    pub fn avg_pool2d(&mut self, x: &Tensor, options: Pool2dOptions) -> Recorded {
        self.pool("avg_pool2d", x, options, 0, |graph, windows| graph.mean(windows, &[4, 5], false))
    }

    fn pool(
        &mut self,
        name: &'static str,
        x: &Tensor,
        options: Pool2dOptions,
        absent: u32,
        over: impl FnOnce(&mut Graph, &Tensor) -> Recorded,
    ) -> Recorded {
        check_dtype(name, x, &[DType::F32])?;
        let Pool2dOptions { kernel, stride, padding } = options;
        let legal = (0..2).all(|i| kernel[i] >= 1 && stride[i] >= 1 && padding[i] <= kernel[i] / 2);
        if x.shape().rank() != 4 || !legal {
            let message = format!(
                "{options:?} of a tensor of shape {}: expected [n, c, h, w], kernel and stride ≥ 1, padding at \
                 most half the kernel",
                x.shape()
            );
            return argument_error(name, message);
        }
        self.labelled(name, |graph| {
            let around = [0, 0, padding[0], padding[1]];
            let padded = match padding {
                [0, 0] => x.clone(),
                _ => graph.pad_bits(x, &around, &around, &[0; 4], absent)?,
            };
            let windows = graph.window(&padded, WindowAttributes { kernel, stride, dilation: [1, 1] })?;
            over(graph, &windows)
        })
    }

    /// e^x / Σ e^x along an axis.
    pub fn softmax(&mut self, x: &Tensor, axis: usize) -> Recorded {
        check_dtype("softmax", x, &[DType::F32])?;
        check_axes("softmax", x.shape(), &[axis])?;
        self.labelled("softmax", |graph| {
            let shifted = graph.minus_largest(x, axis)?;
            let powers = graph.exp(&shifted)?;
            let sum = graph.sum(&powers, &[axis], true)?;
            graph.div(&powers, &sum)
        })
    }

    /// The logarithm of softmax.
    pub fn log_softmax(&mut self, x: &Tensor, axis: usize) -> Recorded {
        check_dtype("log_softmax", x, &[DType::F32])?;
        check_axes("log_softmax", x.shape(), &[axis])?;
        self.labelled("log_softmax", |graph| {
            let shifted = graph.minus_largest(x, axis)?;
            let powers = graph.exp(&shifted)?;
            let sum = graph.sum(&powers, &[axis], true)?;
            let logarithm = graph.ln(&sum)?;
            graph.sub(&shifted, &logarithm)
        })
    }

    fn minus_largest(&mut self, x: &Tensor, axis: usize) -> Recorded {
        // The shift changes nothing but the range, so no gradient flows through it.
        let largest = self.max(x, &[axis], true)?;
        let shift = self.detach(&largest)?;
        self.sub(x, &shift)
    }

    /// (x − mean) / √(variance + ε) over the last `axes` axes.
    pub fn layer_norm(&mut self, x: &Tensor, axes: usize, epsilon: f32) -> Recorded {
        check_dtype("layer_norm", x, &[DType::F32])?;
        let rank = x.shape().rank();
        let positive = numerics::import(epsilon).is_ok_and(|epsilon| epsilon > 0.0);
        if axes == 0 || axes > rank || !positive {
            let message = format!(
                "over the last {axes} axes of shape {} with epsilon {epsilon}: 1 to {rank} axes, epsilon > 0",
                x.shape()
            );
            return argument_error("layer_norm", message);
        }
        let last: Vec<usize> = (rank - axes..rank).collect();
        self.labelled("layer_norm", |graph| {
            let mean = graph.mean(x, &last, true)?;
            let centred = graph.sub(x, &mean)?;
            let squares = graph.mul(&centred, &centred)?;
            let variance = graph.mean(&squares, &last, true)?;
            let epsilon = graph.scalar(epsilon)?;
            let above_zero = graph.add(&variance, &epsilon)?;
            let scale = graph.rsqrt(&above_zero)?;
            graph.mul(&centred, &scale)
        })
    }
}
