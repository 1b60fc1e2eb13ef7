//! [`Linear`]: x · weightᵀ + bias.

use crate::parameters::{Init, Parameter, Parameters};
use crate::{Result, Tensor};

/// A fully connected layer: `[…, inputs]` → `[…, outputs]`.
#[derive(Clone, Debug)]
pub struct Linear {
    /// `[outputs, inputs]`
    pub weight: Parameter,
    /// `[outputs]`
    pub bias: Parameter,
}

impl Linear {
    /// `name.weight` and `name.bias`, both uniform within 1 / √inputs at first.
    pub fn new(parameters: &mut Parameters, name: &str, inputs: u32, outputs: u32) -> Result<Linear> {
        let init = Init::fan_in(inputs);
        let weight = parameters.trained(&format!("{name}.weight"), &[outputs, inputs], init)?;
        let bias = parameters.trained(&format!("{name}.bias"), &[outputs], init)?;
        Ok(Linear { weight, bias })
    }

    /// `[…, inputs]` → `[…, outputs]`, of rank 2 at least.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.matmul_t(&self.weight.get()) + self.bias.get()
    }
}
