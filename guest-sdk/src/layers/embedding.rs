//! [`Embedding`]: a row of numbers for each of a fixed set of symbols.

use crate::parameters::{Init, Parameter, Parameters};
use crate::{Result, Tensor};

/// A table of vectors: indices `[…]` → `[…, size]`.
#[derive(Clone, Debug)]
pub struct Embedding {
    /// `[count, size]`
    pub weight: Parameter,
}

impl Embedding {
    /// `name.weight`: `count` rows of `size` numbers, standard normal at first.
    pub fn new(parameters: &mut Parameters, name: &str, count: u32, size: u32) -> Result<Embedding> {
        let weight = parameters.trained(&format!("{name}.weight"), &[count, size], Init::Normal(1.0))?;
        Ok(Embedding { weight })
    }

    /// i32 `[…]` → `[…, size]`; an index out of range gives zeros.
    #[track_caller]
    pub fn forward(&self, indices: &Tensor) -> Tensor {
        self.weight.get().gather(0, indices)
    }
}
