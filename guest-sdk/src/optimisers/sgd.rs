//! [`Sgd`]: stochastic gradient descent with momentum.

use super::{Optimiser, STEP, clipped_gradients, replace};
use crate::bindings::tensors as raw;
use crate::error::{Error, Result};
use crate::parameters::Init;
use crate::{Parameter, Parameters, Schedule, Tensor};

/// velocity' = μ · velocity + (gradient + λ · parameter), parameter' = parameter − η · velocity'.
#[derive(Clone, Debug)]
pub struct Sgd {
    schedule: Schedule,
    momentum: f32,
    weight_decay: f32,
    nesterov: bool,
    clip_norm: Option<f32>,
    step: u32,
    slots: Vec<Slot>,
}

#[derive(Clone, Debug)]
struct Slot {
    parameter: Parameter,
    velocity: Parameter,
}

impl Sgd {
    /// For the parameters that the model has taken by now: make it after the model. No momentum at first.
    pub fn new(parameters: &mut Parameters, schedule: Schedule) -> Result<Sgd> {
        let trained: Vec<(String, Parameter)> =
            parameters.iter_trained().map(|(name, parameter)| (name.to_owned(), parameter.clone())).collect();
        let slot = |(name, parameter): (String, Parameter)| {
            let shape = parameter.get().shape();
            let velocity = parameters.kept(&format!("sgd.velocity.{name}"), &shape, Init::Constant(0.0))?;
            Ok(Slot { parameter, velocity })
        };
        let slots = trained.into_iter().map(slot).collect::<Result<_>>()?;
        let step = parameters.counter(STEP)?;
        Ok(Sgd { schedule, momentum: 0.0, weight_decay: 0.0, nesterov: false, clip_norm: None, step, slots })
    }

    /// μ in [0, 1).
    pub fn momentum(mut self, momentum: f32) -> Sgd {
        self.momentum = momentum;
        self
    }

    /// λ ≥ 0, added to the gradient.
    pub fn weight_decay(mut self, weight_decay: f32) -> Sgd {
        self.weight_decay = weight_decay;
        self
    }

    /// Looks ahead along the velocity.
    pub fn nesterov(mut self) -> Sgd {
        self.nesterov = true;
        self
    }

    /// Scales the gradients down to this norm, taken over all parameters together.
    pub fn clip_norm(mut self, norm: f32) -> Sgd {
        self.clip_norm = Some(norm);
        self
    }

    fn update(&self, slot: &Slot, value: &Tensor, gradient: &Tensor) -> Result<(Tensor, Tensor), Error> {
        let options = raw::SgdOptions {
            learning_rate: self.schedule.at(self.step),
            momentum: self.momentum,
            weight_decay: self.weight_decay,
            nesterov: self.nesterov,
        };
        let (value, velocity) = raw::sgd(&value.0, &gradient.0, &slot.velocity.get().0, options)?;
        Ok((Tensor::own(value), Tensor::own(velocity)))
    }
}

impl Optimiser for Sgd {
    fn step(&mut self, parameters: &mut Parameters, loss: &Tensor) -> Result<Tensor> {
        let values: Vec<Tensor> = self.slots.iter().map(|slot| slot.parameter.get()).collect();
        let gradients = clipped_gradients(loss, &values.iter().collect::<Vec<_>>(), self.clip_norm)?;
        let (mut places, mut next) = (Vec::new(), Vec::new());
        for ((slot, value), gradient) in self.slots.iter().zip(&values).zip(&gradients) {
            let (value, velocity) = self.update(slot, value, gradient)?;
            places.extend([&slot.parameter, &slot.velocity]);
            next.extend([value, velocity]);
        }
        let loss = replace(&places, &next, loss);
        self.step += 1;
        parameters.set_counter(STEP, self.step);
        Ok(loss)
    }

    fn steps(&self) -> u32 {
        self.step
    }
}
