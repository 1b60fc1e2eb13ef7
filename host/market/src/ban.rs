//! Identities that the network's operator does not serve any more: for the log, with the reason. That none of their
//! requests is taken is the service's work.

use anneal_job::{AttemptId, Identity, JobId};

use crate::{EndKind, EventKind, GiveBackReason, Market, Reply, job::JobStatus};

impl Market {
    /// Leases of who is banned go to others, its jobs are wound up, and the log says so with the reason. What was earned
    /// stays earned: a ban is no verdict.
    pub(crate) fn ban(&mut self, identity: Identity, reason: String) -> Reply {
        self.emit(EventKind::Banned { identity, reason: reason.clone() });
        let provider = self.providers.get(&identity).into_iter();
        let leases: Vec<AttemptId> = provider
            .flat_map(|provider| provider.devices.values())
            .flat_map(|device| device.leases.clone())
            .collect();
        for lease in leases {
            self.take_back(lease, GiveBackReason::Withdrawn);
        }
        let is_own = |id: &JobId| {
            self.jobs.get(id).is_some_and(|job| {
                job.developer == identity && !matches!(job.status, JobStatus::Ending { .. })
            })
        };
        let jobs: Vec<JobId> = self.jobs.keys().copied().filter(is_own).collect();
        for id in jobs {
            if let Some(tag) = self.jobs.get(&id).map(|job| job.tag) {
                self.emit(EventKind::JobCancelled { job: tag });
            }
            let message = format!("the network's operator has banned its developer: {reason}");
            self.wind_up(id, EndKind::Cancelled, Some(message));
        }
        Reply::Done
    }

    /// It is served again.
    pub(crate) fn unban(&mut self, identity: Identity, reason: String) -> Reply {
        self.emit(EventKind::Unbanned { identity, reason });
        Reply::Done
    }
}
