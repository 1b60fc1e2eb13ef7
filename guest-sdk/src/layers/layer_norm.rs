//! [`LayerNorm`]: each row brought to mean 0 and variance 1, then scaled and shifted.

use crate::parameters::{Init, Parameter, Parameters};
use crate::{Result, Tensor};

/// Normalises the last axis: `[…, size]` → `[…, size]`.
#[derive(Clone, Debug)]
pub struct LayerNorm {
    /// The scale, `[size]`.
    pub weight: Parameter,
    /// The shift, `[size]`.
    pub bias: Parameter,
    /// Added to the variance, 1e-5 at first.
    pub epsilon: f32,
}

impl LayerNorm {
    /// `name.weight`, 1 at first, and `name.bias`, 0 at first.
    pub fn new(parameters: &mut Parameters, name: &str, size: u32) -> Result<LayerNorm> {
        let weight = parameters.trained(&format!("{name}.weight"), &[size], Init::Constant(1.0))?;
        let bias = parameters.trained(&format!("{name}.bias"), &[size], Init::Constant(0.0))?;
        Ok(LayerNorm { weight, bias, epsilon: 1e-5 })
    }

    /// `[…, size]` → `[…, size]`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        x.layer_norm(1, self.epsilon) * self.weight.get() + self.bias.get()
    }
}
