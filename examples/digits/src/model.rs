//! The network: 64 pixels, two hidden layers, ten classes.

use anneal_sdk::prelude::*;

const PIXELS: u32 = 64;
const CLASSES: u32 = 10;

/// Its size.
pub struct Settings {
    /// Units of the two hidden layers.
    pub hidden: [u32; 2],
    /// The rate of dropout after each.
    pub dropout: f32,
}

/// A perceptron with two hidden layers.
pub struct Model {
    layers: [Linear; 3],
    dropouts: [Dropout; 2],
}

impl Model {
    /// Made afresh or from a state, as `parameters` are.
    pub fn new(parameters: &mut Parameters, settings: &Settings) -> Result<Model> {
        let [first, second] = settings.hidden;
        Ok(Model {
            layers: [
                Linear::new(parameters, "fc1", PIXELS, first)?,
                Linear::new(parameters, "fc2", first, second)?,
                Linear::new(parameters, "fc3", second, CLASSES)?,
            ],
            dropouts: ["drop1", "drop2"].map(|name| Dropout::new(name, settings.dropout)),
        })
    }

    /// f32 `[n, 64]` → logits `[n, 10]`.
    pub fn forward(&self, pixels: &Tensor, mode: Mode) -> Tensor {
        let [first, second, last] = &self.layers;
        let hidden = self.dropouts[0].forward(&first.forward(pixels).relu(), mode);
        let hidden = self.dropouts[1].forward(&second.forward(&hidden).relu(), mode);
        last.forward(&hidden)
    }
}
