//! The entities as their rows hold them: for pages and for reading what has ended. [`crate::row`] reads
//! them.

pub use crate::{
    attempt::{Attempt, AttemptState, Earned},
    case::Case,
    class::Class,
    developer::{Cached, Developer},
    job::{Job, JobStatus},
    operator::Operator,
    provider::{Device, HeldHour, Pause, Provider, Reputation, Standing, magnitude},
    task::{Dispute, PendingReplay, Phase, Stage, Task, Truth, Upload, Verdict},
    totals::{Epoch, Totals},
};
