//! [`MultiHeadAttention`]: each position looks at the others.

use super::Linear;
use crate::error::Failure;
use crate::parameters::Parameters;
use crate::{Result, Tensor};

/// Stands for minus infinity in a softmax: e^−1e9 is 0.
const MASKED: f32 = -1e9;

/// Self-attention with several heads: `[n, length, size]` → `[n, length, size]`.
#[derive(Clone, Debug)]
pub struct MultiHeadAttention {
    query: Linear,
    key: Linear,
    value: Linear,
    output: Linear,
    heads: u32,
    causal: bool,
}

impl MultiHeadAttention {
    /// Four [`Linear`] layers `name.query`, `name.key`, `name.value` and `name.output`. Fails where `heads` does
    /// not divide `size`.
    pub fn new(parameters: &mut Parameters, name: &str, size: u32, heads: u32) -> Result<MultiHeadAttention> {
        if heads == 0 || !size.is_multiple_of(heads) {
            return Err(Failure::new(format!("{name}: {heads} heads do not divide a size of {size}")));
        }
        let mut linear = |part: &str| Linear::new(parameters, &format!("{name}.{part}"), size, size);
        Ok(MultiHeadAttention {
            query: linear("query")?,
            key: linear("key")?,
            value: linear("value")?,
            output: linear("output")?,
            heads,
            causal: false,
        })
    }

    /// Each position sees itself and those before it only, as in a language model.
    pub fn causal(mut self) -> MultiHeadAttention {
        self.causal = true;
        self
    }

    /// `[n, length, size]` → `[n, length, size]`.
    #[track_caller]
    pub fn forward(&self, x: &Tensor) -> Tensor {
        let shape = x.shape();
        let [count, length, size] = shape[..] else {
            panic!("MultiHeadAttention takes [n, length, size], not {shape:?}");
        };
        let split =
            |x: Tensor| x.reshape(&[count, length, self.heads, size / self.heads]).permute(&[0, 2, 1, 3]);
        let query = split(self.query.forward(x));
        let key = split(self.key.forward(x));
        let value = split(self.value.forward(x));
        let scale = 1.0 / ((size / self.heads) as f32).sqrt();
        let mut scores = query.matmul_t(&key) * scale;
        if self.causal {
            let position = Tensor::iota(&[length]);
            scores = position.le(position.reshape(&[length, 1])).where_(scores, MASKED);
        }
        let mixed = scores.softmax(-1).matmul(&value);
        self.output.forward(&mixed.permute(&[0, 2, 1, 3]).reshape(&shape))
    }
}
