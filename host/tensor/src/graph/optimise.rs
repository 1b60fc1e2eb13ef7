//! Optimiser steps as operations: their scalars are derived here with canonical arithmetic.

use super::{Graph, Recorded, argument_error, check_dtype, shape_error};
use crate::{AdamwScalars, DType, ElementOp, SgdScalars, Tensor, numerics};

/// The options of an SGD step, as the guest gives them.
pub type SgdOptions = SgdScalars;

/// The options of an AdamW step, as the guest gives them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamwOptions {
    /// η.
    pub learning_rate: f32,
    /// β₁.
    pub beta1: f32,
    /// β₂.
    pub beta2: f32,
    /// ε.
    pub epsilon: f32,
    /// λ.
    pub weight_decay: f32,
    /// t, from 1.
    pub step: u32,
}

impl Graph {
    /// One step of SGD → (parameter, velocity).
    pub fn sgd(
        &mut self,
        parameter: &Tensor,
        gradient: &Tensor,
        velocity: &Tensor,
        options: SgdOptions,
    ) -> Recorded<(Tensor, Tensor)> {
        check_alike("sgd", &[parameter, gradient, velocity])?;
        let scalars = SgdScalars {
            learning_rate: scalar("sgd", "learning-rate", options.learning_rate, 0.0..=numerics::MAX)?,
            momentum: scalar("sgd", "momentum", options.momentum, 0.0..=BELOW_ONE)?,
            weight_decay: scalar("sgd", "weight-decay", options.weight_decay, 0.0..=numerics::MAX)?,
            nesterov: options.nesterov,
        };
        self.labelled("sgd", |graph| {
            let velocity =
                graph.element(ElementOp::SgdVelocity(scalars), &[velocity, gradient, parameter])?;
            let parameter =
                graph.element(ElementOp::SgdParameter(scalars), &[parameter, gradient, &velocity])?;
            Ok((parameter, velocity))
        })
    }

    /// One step of AdamW → (parameter, first moment, second moment).
    pub fn adamw(
        &mut self,
        parameter: &Tensor,
        gradient: &Tensor,
        first: &Tensor,
        second: &Tensor,
        options: AdamwOptions,
    ) -> Recorded<(Tensor, Tensor, Tensor)> {
        check_alike("adamw", &[parameter, gradient, first, second])?;
        if options.step == 0 {
            return argument_error("adamw", "step is 0; the first step is 1".to_owned());
        }
        let beta1 = scalar("adamw", "beta1", options.beta1, 0.0..=BELOW_ONE)?;
        let beta2 = scalar("adamw", "beta2", options.beta2, 0.0..=BELOW_ONE)?;
        let correction = |beta| numerics::sub(1.0, numerics::powi(beta, options.step));
        let scalars = AdamwScalars {
            learning_rate: scalar("adamw", "learning-rate", options.learning_rate, 0.0..=numerics::MAX)?,
            beta1,
            beta2,
            epsilon: scalar("adamw", "epsilon", options.epsilon, f32::MIN_POSITIVE..=numerics::MAX)?,
            weight_decay: scalar("adamw", "weight-decay", options.weight_decay, 0.0..=numerics::MAX)?,
            correction1: correction(beta1),
            correction2: correction(beta2),
        };
        self.labelled("adamw", |graph| {
            let first = graph.element(ElementOp::AdamwFirst(scalars), &[first, gradient])?;
            let second = graph.element(ElementOp::AdamwSecond(scalars), &[second, gradient])?;
            let parameter =
                graph.element(ElementOp::AdamwParameter(scalars), &[parameter, &first, &second])?;
            Ok((parameter, first, second))
        })
    }
}

/// The largest f32 below one.
const BELOW_ONE: f32 = 1.0 - f32::EPSILON / 2.0;

fn check_alike(operation: &'static str, tensors: &[&Tensor]) -> Recorded<()> {
    for tensor in tensors {
        check_dtype(operation, tensor, &[DType::F32])?;
        if tensor.shape() != tensors[0].shape() {
            let message =
                format!("the parameter is {}, another tensor is {}", tensors[0].shape(), tensor.shape());
            return shape_error(operation, message);
        }
    }
    Ok(())
}

fn scalar(
    operation: &'static str,
    name: &str,
    value: f32,
    range: std::ops::RangeInclusive<f32>,
) -> Recorded<f32> {
    match numerics::import(value) {
        Ok(canonical) if range.contains(&canonical) => Ok(canonical),
        _ => argument_error(
            operation,
            format!("{name} is {value}, outside {:e} to {:e}", range.start(), range.end()),
        ),
    }
}
