//! [`Conv2d`]: a 2-D convolution with a bias per channel.

use crate::parameters::{Init, Parameter, Parameters};
use crate::tensor::Conv2dOptions;
use crate::{Result, Tensor};

/// A convolution: `[n, inputs, h, w]` → `[n, outputs, oh, ow]`.
#[derive(Clone, Debug)]
pub struct Conv2d {
    /// `[outputs, inputs / groups, kernel, kernel]`
    pub weight: Parameter,
    /// `[outputs]`
    pub bias: Parameter,
    /// How it moves.
    pub options: Conv2dOptions,
}

impl Conv2d {
    /// `name.weight` and `name.bias`, for a square kernel; both uniform within 1 / √(inputs of one output).
    pub fn new(
        parameters: &mut Parameters,
        name: &str,
        inputs: u32,
        outputs: u32,
        kernel: u32,
        options: Conv2dOptions,
    ) -> Result<Conv2d> {
        let channels = inputs / options.groups.max(1);
        let init = Init::fan_in(channels * kernel * kernel);
        let weight =
            parameters.trained(&format!("{name}.weight"), &[outputs, channels, kernel, kernel], init)?;
        let bias = parameters.trained(&format!("{name}.bias"), &[outputs], init)?;
        Ok(Conv2d { weight, bias, options })
    }

    /// `[n, inputs, h, w]` → `[n, outputs, oh, ow]`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let bias = self.bias.get();
        let channels = bias.shape()[0];
        x.conv2d(&self.weight.get(), self.options) + bias.reshape(&[channels, 1, 1])
    }
}
