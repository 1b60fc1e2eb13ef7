//! [`AdamW`]: adaptive moments with decoupled weight decay (Loshchilov and Hutter, 2019).

use super::{Optimiser, STEP, clipped_gradients, replace};
use crate::bindings::tensors as raw;
use crate::error::{Error, Result};
use crate::parameters::Init;
use crate::{Parameter, Parameters, Schedule, Tensor};

/// AdamW with β₁ 0.9, β₂ 0.999, ε 1e-8 and weight decay 0.01 where nothing else is said.
#[derive(Clone, Debug)]
pub struct AdamW {
    schedule: Schedule,
    betas: (f32, f32),
    epsilon: f32,
    weight_decay: f32,
    clip_norm: Option<f32>,
    step: u32,
    slots: Vec<Slot>,
}

#[derive(Clone, Debug)]
struct Slot {
    parameter: Parameter,
    first: Parameter,
    second: Parameter,
}

impl AdamW {
    /// For the parameters that the model has taken by now: make it after the model.
    pub fn new(parameters: &mut Parameters, schedule: Schedule) -> Result<AdamW> {
        let trained: Vec<(String, Parameter)> =
            parameters.iter_trained().map(|(name, parameter)| (name.to_owned(), parameter.clone())).collect();
        let slot = |(name, parameter): (String, Parameter)| {
            let shape = parameter.get().shape();
            let mut moment =
                |which: &str| parameters.kept(&format!("adamw.{which}.{name}"), &shape, Init::Constant(0.0));
            Ok(Slot { first: moment("first")?, second: moment("second")?, parameter })
        };
        let slots = trained.into_iter().map(slot).collect::<Result<_>>()?;
        let step = parameters.counter(STEP)?;
        let betas = (0.9, 0.999);
        Ok(AdamW { schedule, betas, epsilon: 1e-8, weight_decay: 0.01, clip_norm: None, step, slots })
    }

    /// β₁ and β₂, both in [0, 1).
    pub fn betas(mut self, first: f32, second: f32) -> AdamW {
        self.betas = (first, second);
        self
    }

    /// ε > 0.
    pub fn epsilon(mut self, epsilon: f32) -> AdamW {
        self.epsilon = epsilon;
        self
    }

    /// λ ≥ 0, decoupled from the gradient.
    pub fn weight_decay(mut self, weight_decay: f32) -> AdamW {
        self.weight_decay = weight_decay;
        self
    }

    /// Scales the gradients down to this norm, taken over all parameters together.
    pub fn clip_norm(mut self, norm: f32) -> AdamW {
        self.clip_norm = Some(norm);
        self
    }

    fn update(&self, slot: &Slot, value: &Tensor, gradient: &Tensor) -> Result<[Tensor; 3], Error> {
        let options = raw::AdamwOptions {
            learning_rate: self.schedule.at(self.step),
            beta1: self.betas.0,
            beta2: self.betas.1,
            epsilon: self.epsilon,
            weight_decay: self.weight_decay,
            step: self.step + 1,
        };
        let (first, second) = (slot.first.get(), slot.second.get());
        let (value, first, second) = raw::adamw(&value.0, &gradient.0, &first.0, &second.0, options)?;
        Ok([value, first, second].map(Tensor::own))
    }
}

impl Optimiser for AdamW {
    fn step(&mut self, parameters: &mut Parameters, loss: &Tensor) -> Result<Tensor> {
        let values: Vec<Tensor> = self.slots.iter().map(|slot| slot.parameter.get()).collect();
        let gradients = clipped_gradients(loss, &values.iter().collect::<Vec<_>>(), self.clip_norm)?;
        let (mut places, mut next) = (Vec::new(), Vec::new());
        for ((slot, value), gradient) in self.slots.iter().zip(&values).zip(&gradients) {
            places.extend([&slot.parameter, &slot.first, &slot.second]);
            next.extend(self.update(slot, value, gradient)?);
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
