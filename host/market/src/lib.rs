//! The pure core of the network.

mod account;
mod command;
mod effect;
mod event;
mod key;
mod name;
mod parameters;
mod rejection;
mod replay;
mod reply;
mod secret;
mod spec;

pub use account::{Account, Posting};
pub use command::{Command, DeviceOffer, GiveBackReason, Nonce, OperatorMarks};
pub use effect::{Effect, ReplayOrder};
pub use event::{
    CloseReason, Draws, EndKind, Event, EventKind, Evidence, Finding, JobEnd, Judged, PauseReason,
    ReplicateDraw,
};
pub use key::{Key, KeyError};
pub use name::{DeviceClass, DeviceId, JobTag, TaskKey, TaskTag};
pub use parameters::Parameters;
pub use rejection::Rejection;
pub use replay::{ReplayId, ReplayOutcome, TraceLevel};
pub use reply::{Demand, Lease, NothingHint, Quote, Reply, StateRef, TraceReport};
pub use secret::{Draw, EpochSecret, MILLION};
pub use spec::{JobRequirements, JobSpec};
