//! What travels, version 1. Not the domain's types: those may change without breaking a client.
//!
//! Requests refuse unknown fields, so a typing error is told and not ignored; replies may grow fields.

mod about;
mod blob;
mod job;
mod provider;
mod receipt;

pub use about::{About, Ban, Health, LimitsReport, ServiceVersions};
pub use blob::{BlobPath, BlobQuery, MISSING_MAX, Missing, MissingQuery, UploadQuery, UploadState};
pub use job::{
    AttemptState, AttemptView, Cancelled, FaultView, FindingView, JobEnd, JobListQuery, JobPath, JobQuery,
    JobRequirements, JobSpec, JobState, JobSummary, JobView, Jobs, Quote, QuoteJob, SubmitJob, Submitted,
    TaskState, TaskView, VerdictBy, VerdictView,
};
pub use provider::{
    BATCH_ITEMS_MAX, Batch, BatchReply, CaseView, CommitItem, DEVICES_MAX, DeviceOffer, DeviceView, Duty,
    Enrol, FaultItem, GiveBackItem, GiveBackReason, Heartbeat, HeartbeatReply, ItemReply, Lease,
    LeaseDeveloper, NoLease, Poll, PollReply, ProviderListQuery, ProviderPause, ProviderStanding,
    ProviderView, Providers, RevealItem, StateRef, TraceItem, TraceLevel, component_claim, sign_component,
};
pub use receipt::SignedReceipt;
