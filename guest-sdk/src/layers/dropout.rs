//! [`Dropout`]: numbers set to zero at random in training.

use super::Mode;
use crate::random::stream;
use crate::{DType, Tensor};

/// In training each number is zeroed with probability `rate` and the others are scaled by 1 / (1 − rate).
///
/// Which ones follows from the task's seed, the layer's name and the step, and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub struct Dropout {
    name: String,
    rate: f32,
}

impl Dropout {
    /// The stream of random numbers is `dropout/name`: give each layer its own name.
    ///
    /// # Panics
    /// Where `rate` is not in [0, 1).
    #[track_caller]
    pub fn new(name: &str, rate: f32) -> Dropout {
        assert!((0.0..1.0).contains(&rate), "the dropout rate is {rate} and must be at least 0 and below 1");
        Dropout { name: format!("dropout/{name}"), rate }
    }

    /// The same shape; x itself where the mode is not training or the rate is 0.
    #[track_caller]
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Tensor {
        match mode {
            Mode::Train { step } if self.rate > 0.0 => {
                let numbers = Tensor::uniform(&x.shape(), stream(&self.name, step.into()));
                let kept = numbers.ge(self.rate).cast(DType::F32);
                x * kept * (1.0 / (1.0 - self.rate))
            }
            _ => x.clone(),
        }
    }
}
