//! [`Trainer`], the shape of a training job, and the macros that make a component of one.

use std::marker::PhantomData;

use crate::bindings::{context, training};
use crate::{Metrics, Result, State, Task, merge, panic};

/// A job that trains: plan `train`. Export it with [`export_training!`](crate::export_training).
///
/// Each function is a task of its own, on a machine of its own perhaps: nothing but the state passes between
/// them. The digest of a job covers the states and metrics.
pub trait Trainer {
    /// The first state.
    fn init(task: &Task) -> Result<State>;

    /// One segment of the training: the state after it. [`Task::share_of`] says how much that is.
    fn train(task: &Task, state: State) -> Result<State>;

    /// One state of the `task.workers` that trained side by side, for the next round. The default is the mean,
    /// [`merge::mean`].
    fn merge(task: &Task) -> Result<State> {
        merge::mean(task)
    }

    /// How good a state is, at the end of the job.
    fn evaluate(task: &Task, state: State) -> Result<Metrics>;
}

/// Makes a type that implements [`Trainer`] the job of this crate.
#[macro_export]
macro_rules! export_training {
    ($trainer:ty) => {
        const _: () = {
            type Exported = $crate::trainer::TrainingExport<$trainer>;
            $crate::bindings::training::__export_training_world!(Exported with_types_in $crate::bindings::training);
        };
    };
}

/// Makes a function `fn(&Task) -> Result<State>` the job of this crate: plans `single` and `map`.
///
/// ```no_run
/// use anneal_sdk::prelude::*;
///
/// fn triangle(task: &Task) -> Result<State> {
///     let n = task.parameter("n", 10_u32)?;
///     Ok(State::from([("sum", Tensor::iota(&[n + 1]).sum(&[]))]))
/// }
///
/// anneal_sdk::export_function!(triangle);
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! export_function {
    ($function:path) => {
        const _: () = {
            struct Exported;
            impl $crate::bindings::function::Guest for Exported {
                fn run(
                    task: $crate::bindings::context::Task,
                ) -> ::std::result::Result<::std::vec::Vec<$crate::bindings::context::NamedTensor>, ::std::string::String>
                {
                    $crate::trainer::run_function(task, $function)
                }
            }
            $crate::bindings::function::__export_function_world!(Exported with_types_in $crate::bindings::function);
        };
    };
}

/// A [`Trainer`] as the contract's world `training` wants it.
#[doc(hidden)]
pub struct TrainingExport<T>(PhantomData<T>);

impl<T: Trainer> training::Guest for TrainingExport<T> {
    fn init(task: context::Task) -> Result<Vec<context::NamedTensor>, String> {
        panic::install();
        exported(T::init(&task.into()))
    }

    fn train(
        task: context::Task,
        state: Vec<context::NamedTensor>,
    ) -> Result<Vec<context::NamedTensor>, String> {
        panic::install();
        exported(T::train(&task.into(), State::from_raw(state)))
    }

    fn merge(task: context::Task) -> Result<Vec<context::NamedTensor>, String> {
        panic::install();
        exported(T::merge(&task.into()))
    }

    fn evaluate(task: context::Task, state: Vec<context::NamedTensor>) -> Result<Vec<(String, f64)>, String> {
        panic::install();
        T::evaluate(&task.into(), State::from_raw(state))
            .map(|metrics| metrics.0)
            .map_err(|failure| failure.to_string())
    }
}

/// A function as the contract's world `function` wants it.
#[doc(hidden)]
pub fn run_function(
    task: context::Task,
    function: fn(&Task) -> Result<State>,
) -> Result<Vec<context::NamedTensor>, String> {
    panic::install();
    exported(function(&task.into()))
}

fn exported(result: Result<State>) -> Result<Vec<context::NamedTensor>, String> {
    result.map(State::into_raw).map_err(|failure| failure.to_string())
}
