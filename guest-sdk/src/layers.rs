//! Layers: what a network is put together from. Each takes its parameters by name from
//! [`Parameters`](crate::Parameters), so the same constructor serves a first start and a resumed state.
//!
//! Names and shapes of the weights are PyTorch's (`fc1.weight [out, in]`, `fc1.bias [out]`), so that a trained
//! state opens there. A layer's `forward` panics at the caller's line where shapes do not fit.

mod attention;
mod conv2d;
mod dropout;
mod embedding;
mod layer_norm;
mod linear;

pub use attention::MultiHeadAttention;
pub use conv2d::Conv2d;
pub use dropout::Dropout;
pub use embedding::Embedding;
pub use layer_norm::LayerNorm;
pub use linear::Linear;

/// What a forward pass is for: some layers behave differently in training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Judging or using the model: nothing is random.
    Evaluate,
    /// Training.
    Train {
        /// The step, which numbers the random streams: [`Optimiser::steps`](crate::optimisers::Optimiser::steps).
        step: u32,
    },
}
