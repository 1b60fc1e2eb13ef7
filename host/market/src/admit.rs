//! Jobs whose component nobody has looked at yet: they are submitted and paid into escrow, and open no task before
//! the service says that the component can be run. Where it cannot, they end with the reason, and all comes back.

use anneal_job::{Digest, Identity, JobId, Timestamp};

use crate::{Effect, EndKind, JobSpec, Key, Market, Rejection, Reply, job::JobStatus};

/// A job that waits for its component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Waiting {
    /// The job.
    pub job: JobId,
    /// Whose: components are looked at in turn.
    pub developer: Identity,
    /// Since when.
    pub since: Timestamp,
}

impl Market {
    /// Submits a job whose component is to be looked at first.
    pub(crate) fn submit_unadmitted(
        &mut self,
        who: Identity,
        nonce: u64,
        spec: JobSpec,
    ) -> Result<Reply, Rejection> {
        let reply = self.submit(who, nonce, spec)?;
        if let Reply::Submitted { job, .. } = reply {
            if let Some(known) = self.job_mut(job) {
                known.status = JobStatus::Admitting;
            }
            let since = self.now();
            self.effect(Effect::Admit { waiting: Waiting { job, developer: who, since } });
        }
        Ok(reply)
    }

    /// The component was looked at: what waits for it opens, or ends with the reason.
    pub(crate) fn admitted(&mut self, component: Digest, refusal: Option<&str>) -> Reply {
        let waiting: Vec<JobId> = self
            .waiting()
            .map(|waiting| waiting.job)
            .filter(|job| self.waits_for(job) == Some(component))
            .collect();
        for id in waiting {
            match refusal {
                None => {
                    if let Some(job) = self.job_mut(id) {
                        job.status = JobStatus::Running;
                    }
                    self.look_at(Key::Job(id));
                }
                Some(reason) => {
                    let message = format!("the component cannot be admitted: {reason}");
                    self.effect(Effect::TellDeveloper { job: id, message: message.clone() });
                    self.wind_up(id, EndKind::Failed, Some(message));
                }
            }
        }
        Reply::Done
    }

    /// The component that a job waits for.
    pub fn waits_for(&self, job: &JobId) -> Option<Digest> {
        let known = self.jobs.get(job).filter(|job| job.status == JobStatus::Admitting)?;
        self.specs.get(&known.id).map(|spec| spec.component.digest)
    }

    /// The jobs that wait for their components.
    pub fn waiting(&self) -> impl Iterator<Item = Waiting> {
        let waits = self.jobs.values().filter(|job| job.status == JobStatus::Admitting);
        waits.map(|job| Waiting { job: job.id, developer: job.developer, since: job.submitted_at })
    }
}
