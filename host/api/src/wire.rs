//! What travels, version 1. Not the domain's types: those may change without breaking a client.
//!
//! Requests refuse unknown fields, so a typing error is told and not ignored; replies may grow fields.

mod about;
mod blob;
mod job;
mod provider;
mod receipt;

pub use about::{About, Health, LimitsReport, ServiceVersions};
pub use blob::{BlobRef, Missing, MissingQuery, UploadQuery, UploadState};
pub use job::{
    AttemptView, Cancelled, JobEnd, JobListQuery, JobPath, JobQuery, JobRequirements, JobState, JobSummary,
    JobView, Jobs, Quote, Redundancy, SubmitJob, Submitted, TaskState, TaskView, VerdictView,
};
pub use provider::{
    Batch, BatchReply, CommitItem, DeviceOffer, DeviceView, Duty, Enrol, FaultItem, Heartbeat, HeartbeatReply,
    ItemReply, Lease, Poll, PollReply, ProviderView, Providers, RevealItem, SelftestSummary, TraceItem,
    TraceLevel,
};
pub use receipt::{Receipt, ReceiptOutcome, SignedReceipt};
