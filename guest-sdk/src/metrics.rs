//! Numbers that say how good a model is: [`Metrics`] for `evaluate`, and what they are computed from.

use crate::error::Error;
use crate::tensor::commit;
use crate::{DType, Tensor};

/// What `evaluate` returns: named numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metrics(pub(crate) Vec<(String, f64)>);

impl Metrics {
    /// Adds a number at the end.
    pub fn push(&mut self, name: impl Into<String>, value: impl Into<f64>) {
        self.0.push((name.into(), value.into()));
    }
}

impl<N: Into<String>, const COUNT: usize> From<[(N, f64); COUNT]> for Metrics {
    fn from(numbers: [(N, f64); COUNT]) -> Metrics {
        Metrics(numbers.into_iter().map(|(name, value)| (name.into(), value)).collect())
    }
}

/// How many of `predictions` (f32 `[n, classes]`, the highest wins) are `labels` (i32 `[n]`): i32 of rank 0.
pub fn correct(predictions: &Tensor, labels: &Tensor) -> Result<Tensor, Error> {
    predictions.try_argmax(-1)?.try_eq(labels)?.try_cast(DType::I32)?.try_sum(&[])
}

/// How many numbers an [`Average`] holds before it adds them up.
const PENDING_MAX: usize = 32;

/// The mean of numbers that stay on the device until it is asked for: one wait an epoch, not one a step.
#[derive(Clone, Debug, Default)]
pub struct Average {
    /// Sums and single numbers, each committed by whoever made it, f32 of shape `[1]`.
    pending: Vec<Tensor>,
    count: u32,
}

impl Average {
    /// Of nothing yet.
    pub fn new() -> Average {
        Average::default()
    }

    /// Adds an f32 tensor of one element: a loss, as [`Optimiser::step`](crate::optimisers::Optimiser::step)
    /// returns it.
    pub fn push(&mut self, number: &Tensor) -> Result<(), Error> {
        self.pending.push(number.try_reshape(&[1])?);
        self.count += 1;
        if self.pending.len() == PENDING_MAX {
            self.pending = commit(&[&self.sum()?]);
        }
        Ok(())
    }

    /// The mean of what was added, or 0 of nothing. Waits for the device.
    pub fn value(&self) -> Result<f32, Error> {
        match self.count {
            0 => Ok(0.0),
            count => Ok(self.sum()?.try_item()? / count as f32),
        }
    }

    fn sum(&self) -> Result<Tensor, Error> {
        let pending: Vec<&Tensor> = self.pending.iter().collect();
        Tensor::try_concat(&pending, 0)?.try_sum_keep(&[])
    }
}
