//! The sandbox: runs a guest's component in wasmtime, within limits, against the tensor engine.
//!
//! The way of a component: its bytes are looked at ([`admission`]), compiled by a process of its own
//! ([`compile`]), and run, one task at a time ([`run`]), on a machine ([`machine`]): a [`worker`] process per
//! attempt, or this process. Both kinds of process are confined by the operating system ([`confine`]) before
//! they see a component. What a run says is an [`Event`]; what becomes of it, an `anneal_job::Outcome`.
//! Tensors are computed by an executor that the caller brings; this crate names no backend.

pub mod admission;
mod brake;
mod child;
pub mod compile;
pub mod confine;
mod ending;
mod engine;
mod event;
pub mod files;
mod host;
pub mod limits;
pub mod machine;
mod pace;
mod protocol;
pub mod run;
mod state;
#[cfg(test)]
mod testing;
mod versions;
mod wasi;
pub mod worker;

/// What the fuzz targets of `tests/fuzz` call.
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing {
    /// The host calls that these bytes say.
    ///
    /// # Panics
    /// Where something does not hold that must.
    pub fn host_calls(bytes: &[u8]) {
        let played = crate::host::calls::play(&crate::host::calls::decode(bytes));
        assert!(played.is_ok(), "{played:?}");
    }

    pub use crate::host::calls::{
        allocator::Counting,
        cost::{Worst, measure},
        decode,
    };
}

/// Unit tests count what they hold.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: host::calls::allocator::Counting = host::calls::allocator::Counting;

pub use compile::CompiledComponent;
pub use event::{Event, Observer, Panic, Trace, TracedOperation, TracedStep, TracedTensor};
pub use machine::{AttemptRequest, InProcessMachine, Machine};
pub use pace::{PaceHandle, PaceReport};
pub use run::{RunOptions, StopFlag, run_task};
pub use state::{Inputs, MismatchError, NamedValue, State, StateError, check_task};
pub use versions::{CONTRACT_VERSION, VERSIONS, check_versions};
pub use worker::{BackendRequest, WorkerMachine};
