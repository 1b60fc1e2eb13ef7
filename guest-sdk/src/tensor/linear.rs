//! Matrix products, convolution, pooling, and the normalising operations of a network.

use super::{Tensor, operations, raw};
use crate::error::Error;

/// How a 2-D convolution moves. Pairs are (rows, columns).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2dOptions {
    /// Distance between outputs, ≥ 1.
    pub stride: (u32, u32),
    /// Zero rows and columns on both sides.
    pub padding: (u32, u32),
    /// Distance between taps, ≥ 1.
    pub dilation: (u32, u32),
    /// Groups of channels, ≥ 1.
    pub groups: u32,
}

/// Stride 1, no padding, no dilation, one group.
impl Default for Conv2dOptions {
    fn default() -> Self {
        Conv2dOptions { stride: (1, 1), padding: (0, 0), dilation: (1, 1), groups: 1 }
    }
}

impl Conv2dOptions {
    /// Stride 1 and as much padding as keeps the size, for an odd square kernel.
    pub fn same(kernel: u32) -> Self {
        Conv2dOptions { padding: (kernel / 2, kernel / 2), ..Self::default() }
    }
}

impl From<Conv2dOptions> for raw::Conv2dOptions {
    fn from(options: Conv2dOptions) -> Self {
        let Conv2dOptions { stride, padding, dilation, groups } = options;
        raw::Conv2dOptions { stride, padding, dilation, groups }
    }
}

/// A pooling window. Pairs are (rows, columns).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool2dOptions {
    /// Size of the window, ≥ 1.
    pub kernel: (u32, u32),
    /// Distance between windows, ≥ 1.
    pub stride: (u32, u32),
    /// Rows and columns added on both sides, at most half the window.
    pub padding: (u32, u32),
}

impl Pool2dOptions {
    /// Square windows side by side.
    pub fn square(size: u32) -> Self {
        Pool2dOptions { kernel: (size, size), stride: (size, size), padding: (0, 0) }
    }
}

impl From<Pool2dOptions> for raw::Pool2dOptions {
    fn from(options: Pool2dOptions) -> Self {
        let Pool2dOptions { kernel, stride, padding } = options;
        raw::Pool2dOptions { kernel, stride, padding }
    }
}

operations! {
    /// Matrix product of the last two axes: `[…, m, k] · […, k, n]` → `[…, m, n]`, f32; the axes before them are
    /// broadcast. Operands are rounded to 12 significant bits, sums are kept in f32; k ≤ 2^22.
    fn matmul / try_matmul(self, other: &Tensor) -> Tensor {
        Tensor::from_raw(raw::matmul(&self.0, &other.0, false, false))
    }

    /// As [`Tensor::matmul`] with the other stored transposed: `[…, m, k] · […, n, k]ᵀ` → `[…, m, n]`.
    fn matmul_t / try_matmul_t(self, other: &Tensor) -> Tensor {
        Tensor::from_raw(raw::matmul(&self.0, &other.0, false, true))
    }

    /// As [`Tensor::matmul`] with this stored transposed: `[…, k, m]ᵀ · […, k, n]` → `[…, m, n]`.
    fn t_matmul / try_t_matmul(self, other: &Tensor) -> Tensor {
        Tensor::from_raw(raw::matmul(&self.0, &other.0, true, false))
    }

    /// This `[n, c, h, w]`, `weight [o, c / groups, kh, kw]` → `[n, o, oh, ow]`, f32; cross-correlation, as in
    /// other frameworks; operands rounded as in [`Tensor::matmul`].
    fn conv2d / try_conv2d(self, weight: &Tensor, options: Conv2dOptions) -> Tensor {
        Tensor::from_raw(raw::conv2d(&self.0, &weight.0, options.into()))
    }

    /// `[n, c, h, w]` → `[n, c, oh, ow]`, the largest of each window; f32. Padding never wins.
    fn max_pool2d / try_max_pool2d(self, options: Pool2dOptions) -> Tensor {
        Tensor::from_raw(raw::max_pool2d(&self.0, options.into()))
    }

    /// `[n, c, h, w]` → `[n, c, oh, ow]`, the mean of each window; f32. Padding counts as zeros.
    fn avg_pool2d / try_avg_pool2d(self, options: Pool2dOptions) -> Tensor {
        Tensor::from_raw(raw::avg_pool2d(&self.0, options.into()))
    }

    /// e^x / Σ e^x along `axis`; f32.
    fn softmax / try_softmax(self, axis: i32) -> Tensor {
        Tensor::from_raw(raw::softmax(&self.0, self.axis("softmax", axis)?))
    }

    /// The logarithm of the softmax along `axis`, without its loss of precision; f32.
    fn log_softmax / try_log_softmax(self, axis: i32) -> Tensor {
        Tensor::from_raw(raw::log_softmax(&self.0, self.axis("log_softmax", axis)?))
    }

    /// (x − mean) / √(variance + epsilon) over the last `axes` axes; f32. Scale and shift are up to the caller:
    /// see [`LayerNorm`](crate::layers::LayerNorm).
    fn layer_norm / try_layer_norm(self, axes: u32, epsilon: f32) -> Tensor {
        Tensor::from_raw(raw::layer_norm(&self.0, axes, epsilon))
    }
}
