//! When an attempt must stop: its wall-clock limit, and a flag that others raise. Time that it is held by its
//! governor does not count. Invisible to the guest, and never a result.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anneal_job::FaultCode;
use anneal_tensor::Gate;

use crate::{
    ending::Ending,
    pace::{Governor, PaceReport},
};

/// Stops an attempt from another thread.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicBool>);

/// The limit of one attempt.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    started: Instant,
    limit: Duration,
    stop: StopFlag,
    governor: Option<Governor>,
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
    /// A clock that starts now, with a governor that has held nothing yet.
    pub(crate) fn start(limit: Duration, stop: StopFlag, governor: Option<Governor>) -> Clock {
        Clock { started: Instant::now(), limit, stop, governor }
    }

    /// The attempt may go on, once its governor lets it. For the thread that works.
    pub(crate) fn pass(&self) -> Result<(), Ending> {
        if let Some(governor) = &self.governor {
            governor.pass()?;
        }
        self.check()
    }

    /// The attempt may go on.
    pub(crate) fn check(&self) -> Result<(), Ending> {
        if self.stop.is_stopped() {
            return Err(Ending::stopped());
        }
        let held = self.governor.as_ref().map(|governor| governor.spent().held).unwrap_or_default();
        if self.started.elapsed().saturating_sub(held) >= self.limit {
            return Err(Ending::fault(FaultCode::TimeOut, self.message()));
        }
        Ok(())
    }

    /// Whether the guest is to come by and pass now and then.
    pub(crate) fn is_governed(&self) -> bool {
        self.governor.is_some()
    }

    /// How the attempt was held until now, where it has a governor.
    pub(crate) fn paced(&self) -> Option<PaceReport> {
        self.governor.as_ref().map(Governor::report)
    }

    pub(crate) fn message(&self) -> String {
        format!(
            "the attempt took longer than the {} s this host allows: allow more time, do less in a segment, \
             or look for a loop without end",
            self.limit.as_secs()
        )
    }
}
