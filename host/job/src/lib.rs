//! The words of Anneal: ids and digests, tasks and their outcomes, limits, the manifest and its plan.
//!
//! Pure: no files, clocks, network or printing. Every other crate speaks in these types.

mod digest;
mod limits;
mod outcome;
mod task;

pub use digest::{Digest, DigestError, RecordHasher};
pub use limits::Limits;
pub use outcome::{
    Completed, FailureCode, FaultCode, GuestFailure, HostFault, Metric, Outcome, result_digest, state_digest,
};
pub use task::{Entry, ParameterValue, Place, Task, TaskId, Versions};
