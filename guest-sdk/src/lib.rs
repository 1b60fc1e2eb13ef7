//! Write a training job for Anneal: tensors, layers, losses, optimisers, a [`Trainer`].
//!
//! A job is a pure function: its inputs, parameters and seed go in, a [`State`] of named tensors comes out,
//! and every device that runs it gives the same bits. It can reach no clock, network, file or source of
//! randomness but those here, so there is nothing to switch off to make a run repeat.
//!
//! The tensors live on the host, on a GPU or a CPU. A call records what is wanted and returns at once; the
//! host computes a whole step when the job commits it (an optimiser does that) or reads a value.
//!
//! ```no_run
//! use anneal_sdk::prelude::*;
//!
//! struct Line;
//!
//! impl Trainer for Line {
//!     fn init(task: &Task) -> Result<State> {
//!         let mut parameters = Parameters::init(task);
//!         Linear::new(&mut parameters, "line", 1, 1)?;
//!         Sgd::new(&mut parameters, Schedule::constant(0.1))?;
//!         Ok(parameters.into_state())
//!     }
//!
//!     fn train(_task: &Task, state: State) -> Result<State> {
//!         let mut parameters = Parameters::load(state);
//!         let line = Linear::new(&mut parameters, "line", 1, 1)?;
//!         let mut sgd = Sgd::new(&mut parameters, Schedule::constant(0.1))?;
//!         let x = Tensor::from_f32(&[3, 1], &[0.0, 1.0, 2.0]);
//!         let y = &x * 3.0 + 1.0;
//!         for _ in 0..100 {
//!             sgd.step(&mut parameters, &losses::mse(&line.forward(&x), &y))?;
//!         }
//!         Ok(parameters.into_state())
//!     }
//!
//!     fn evaluate(_task: &Task, state: State) -> Result<Metrics> {
//!         let line = Linear::new(&mut Parameters::load(state), "line", 1, 1)?;
//!         let at_ten = line.forward(&Tensor::from_f32(&[1, 1], &[10.0])).item();
//!         Ok(Metrics::from([("at-ten", at_ten.into())]))
//!     }
//! }
//!
//! anneal_sdk::export_training!(Line);
//! # fn main() {}
//! ```
//!
//! # Errors
//!
//! An operation that the contract refuses (shapes that do not fit, say) panics at the line that asked for it;
//! the host shows message, file and line. Every operation has a `try_…` form that returns the [`Error`]. The
//! functions of a job return [`Result`] with a [`Failure`], which any [`Error`] or string turns into.
//!
//! # Randomness
//!
//! Three things are random in a training, and each names its own stream of numbers: a parameter's first
//! value (by its name), [`Dropout`](layers::Dropout) (by its name and the step) and the order of the rows
//! (by the seed kept in the state and the epoch). See [`random`].
//!
//! # Arithmetic of your own
//!
//! `+ − × ÷` and `sqrt` of `f32` and `f64` are exact IEEE operations in WebAssembly: use them freely. The
//! transcendental functions of Rust's `std` (`f32::cos`, `powf`, `exp` …) are not specified to the last bit
//! and differ between toolchains: compute such things on tensors, or as [`Schedule`] does.
extern crate self as anneal_sdk;

pub mod batches;
#[doc(hidden)]
pub mod bindings;
pub mod dataset;
pub mod error;
pub mod folds;
pub mod layers;
pub mod losses;
pub mod merge;
pub mod metrics;
pub mod optimisers;
pub mod panic;
pub mod parameters;
pub mod random;
pub mod report;
pub mod schedule;
pub mod state;
pub mod task;
pub mod tensor;
pub mod trainer;

pub use batches::Batches;
pub use dataset::Dataset;
pub use error::{Error, ErrorCode, Failure, Result};
pub use metrics::Metrics;
pub use parameters::{Parameter, Parameters};
pub use schedule::Schedule;
pub use state::State;
pub use task::Task;
pub use tensor::{DType, Tensor};
pub use trainer::Trainer;

/// What a job usually needs, for `use anneal_sdk::prelude::*`.
pub mod prelude {
    pub use crate::layers::{Conv2d, Dropout, Embedding, LayerNorm, Linear, Mode, MultiHeadAttention};
    pub use crate::metrics::Average;
    pub use crate::optimisers::{AdamW, Optimiser, Sgd};
    pub use crate::tensor::{Conv2dOptions, Pool2dOptions};
    pub use crate::{
        Batches, DType, Dataset, Failure, Metrics, Parameters, Result, Schedule, State, Task, Tensor,
        Trainer, folds, losses, merge, metrics, report,
    };
}
