//! Optimisers: from a loss to the next value of every trained parameter.
//!
//! What an optimiser remembers (velocities, moments) and its step counter live in the state beside the
//! parameters, under `sgd.…`, `adamw.…` and `step`: a resumed training goes on as if it had not stopped.

mod adamw;
mod sgd;

pub use adamw::AdamW;
pub use sgd::Sgd;

use crate::error::{Error, Result};
use crate::tensor::{commit, try_gradients};
use crate::{Parameter, Parameters, Tensor};

/// The step counter's name in a state.
const STEP: &str = "step";

/// Something that trains parameters.
pub trait Optimiser {
    /// One step: differentiates `loss` (f32, one element) with respect to every trained parameter, replaces them,
    /// counts, and commits everything. Returns the loss without its history. The device may still be computing:
    /// reading a value waits for it.
    fn step(&mut self, parameters: &mut Parameters, loss: &Tensor) -> Result<Tensor>;

    /// How many steps have been made since `init`: the number of the next, from 0.
    fn steps(&self) -> u32;
}

/// The gradients, scaled so that their common norm is at most `norm`, where one is given.
fn clipped_gradients(loss: &Tensor, values: &[&Tensor], norm: Option<f32>) -> Result<Vec<Tensor>, Error> {
    let mut gradients = try_gradients(loss, values)?;
    if let (Some(limit), Some((first, rest))) = (norm, gradients.split_first()) {
        let mut total = first.try_square()?.try_sum(&[])?;
        for gradient in rest {
            total = total.try_add(gradient.try_square()?.try_sum(&[])?)?;
        }
        let scale = total.try_rsqrt()?.try_mul(limit)?.try_minimum(1.0)?;
        for gradient in &mut gradients {
            *gradient = gradient.try_mul(&scale)?;
        }
    }
    Ok(gradients)
}

/// Commits the new values together with the loss, puts them in place, and returns the loss.
fn replace(places: &[&Parameter], values: &[Tensor], loss: &Tensor) -> Tensor {
    let mut all: Vec<&Tensor> = values.iter().collect();
    all.push(loss);
    let mut committed = commit(&all).into_iter();
    for (place, value) in places.iter().zip(committed.by_ref()) {
        place.set(value);
    }
    committed.next().expect("commit returns as many tensors as it was given")
}
