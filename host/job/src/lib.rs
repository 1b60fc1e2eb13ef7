//! The words of Anneal: ids and digests, tasks and their outcomes, limits, the manifest and its plan.
//!
//! Pure: no files, clocks, network or printing. Every other crate speaks in these types.

mod byte_count;
mod digest;
mod limits;
pub mod manifest;
mod outcome;
pub mod plan;
pub mod report;
mod task;

pub use byte_count::{ByteCount, ByteCountError};
pub use digest::{Digest, DigestError, RecordHasher};
pub use limits::Limits;
pub use manifest::{BackendChoice, InputFormat, InputSpec, Manifest, ManifestError, Requirements};
pub use outcome::{
    Completed, FailureCode, FaultCode, GuestFailure, HostFault, Metric, Outcome, result_digest, state_digest,
};
pub use plan::{PlanSpec, PlannedTask, job_result};
pub use task::{Entry, ParameterValue, Place, Task, TaskId, Versions};
