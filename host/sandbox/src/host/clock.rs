//! When an attempt must stop: its wall-clock limit, and a flag that others raise. Invisible to the guest, and
//! never a result.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anneal_job::FaultCode;

use crate::ending::Ending;

/// Stops an attempt from another thread.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

/// The limit of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    deadline: Option<Instant>,
    limit: Duration,
    stop: StopFlag,
}

impl StopFlag {
    /// The attempt ends soon, with a host fault.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Someone asked to stop.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Clock {
    /// A clock that starts now.
    pub(crate) fn start(limit: Duration, stop: StopFlag) -> Clock {
        Clock { deadline: Instant::now().checked_add(limit), limit, stop }
    }

    /// The attempt may go on.
    pub(crate) fn check(&self) -> Result<(), Ending> {
        if self.stop.is_stopped() {
            return Err(Ending::fault(FaultCode::WorkerDied, "the attempt was stopped"));
        }
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Ending::fault(FaultCode::TimeOut, self.message()));
        }
        Ok(())
    }

    pub(crate) fn message(&self) -> String {
        format!(
            "the attempt took longer than the {} s this host allows: allow more time, do less in a segment, \
             or look for a loop without end",
            self.limit.as_secs()
        )
    }
}
