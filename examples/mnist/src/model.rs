//! The network: two convolutions, each halved by pooling, and two linear layers.

use anneal_sdk::prelude::*;

/// A small convolutional network for images of 28 × 28.
pub struct Model {
    convolutions: [Conv2d; 2],
    hidden: Linear,
    output: Linear,
    dropout: Dropout,
}

impl Model {
    /// Made afresh or from a state, as `parameters` are.
    pub fn new(parameters: &mut Parameters) -> Result<Model> {
        let same = Conv2dOptions::same(5);
        Ok(Model {
            convolutions: [
                Conv2d::new(parameters, "conv1", 1, 16, 5, same)?,
                Conv2d::new(parameters, "conv2", 16, 32, 5, same)?,
            ],
            hidden: Linear::new(parameters, "fc1", 32 * 7 * 7, 128)?,
            output: Linear::new(parameters, "fc2", 128, 10)?,
            dropout: Dropout::new("fc1", 0.3),
        })
    }

    /// f32 `[n, 1, 28, 28]` → logits `[n, 10]`.
    pub fn forward(&self, pixels: &Tensor, mode: Mode) -> Tensor {
        let mut x = pixels.clone();
        for convolution in &self.convolutions {
            x = convolution.forward(&x).relu().max_pool2d(Pool2dOptions::square(2));
        }
        let hidden = self.hidden.forward(&x.flatten(1)).relu();
        self.output.forward(&self.dropout.forward(&hidden, mode))
    }
}
