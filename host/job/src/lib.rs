//! The words of Anneal: ids and digests, tasks and their outcomes, limits, the manifest and its plan;
//! identities, receipts, times and amounts of the network.
//!
//! Pure: no files, clocks, network or printing. Every other crate speaks in these types.

mod byte_count;
mod credits;
mod digest;
mod identity;
mod limits;
pub mod manifest;
mod outcome;
mod parameters;
pub mod plan;
mod receipt;
mod redundancy;
pub mod report;
mod shown;
mod task;
mod time;

pub use byte_count::{ByteCount, ByteCountError};
pub use credits::{Credits, GAS_PER_PRICE, Price};
pub use digest::{Digest, DigestError, RecordHasher};
pub use identity::{AttemptId, Identity, JobId, OperatorId};
pub use limits::Limits;
pub use manifest::{BackendChoice, InputFormat, InputSpec, Manifest, ManifestError, Requirements};
pub use outcome::{
    Completed, FailureCode, FaultCode, GuestFailure, HostFault, Metric, Outcome, result_digest, state_digest,
};
pub use parameters::{
    PARAMETER_TEXT_BYTES_MAX, PARAMETERS_BYTES_MAX, PARAMETERS_MAX, ParametersError, check_parameters,
};
pub use plan::{PlanError, PlanSpec, PlannedTask, job_result};
pub use receipt::{Blob, CommitmentFields, Receipt, ReceiptOutcome, trace_root};
pub use redundancy::{REDUNDANCY_MAX, Redundancy, RedundancyError};
pub use shown::{SHOWN_NAME_CHARACTERS_MAX, SHOWN_SCRIPT, shown, shown_json, shown_name};
pub use task::{Entry, ParameterValue, Place, Task, TaskId, Versions};
pub use time::{Span, Timestamp};
