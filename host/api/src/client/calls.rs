//! The calls by their names: what provider and command use.

use anneal_job::{Identity, JobId};

use super::{Client, ClientError};
use crate::{
    LogPage, Nothing,
    endpoints::{
        Cancel, EnrolProvider, GetAbout, GetHealth, GetJob, GetLog, GetProvider, ListJobs, ListProviders,
        LogQuery, PauseProvider, PollProvider, ProviderPath, Quotes, Resume, SendBatch, SetBan, Submit,
    },
    log::{LogError, LogSummary, LogVerifier},
    wire::sign_component,
    wire::{
        About, Ban, Batch, BatchReply, Cancelled, Enrol, Health, JobListQuery, JobPath, JobQuery, JobSpec,
        JobView, Jobs, Poll, PollReply, ProviderListQuery, ProviderPause, ProviderView, Providers, Quote,
        QuoteJob, SubmitJob, Submitted,
    },
};

const NOTHING: Nothing = Nothing {};

/// Every call may fail as [`ClientError`] lists.
#[expect(clippy::missing_errors_doc, reason = "said once, above")]
impl Client {
    /// Who the coordinator is now.
    pub async fn about(&self) -> Result<About, ClientError> {
        self.call::<GetAbout>(&NOTHING, &NOTHING, &NOTHING).await
    }

    /// How the network does.
    pub async fn health(&self) -> Result<Health, ClientError> {
        self.call::<GetHealth>(&NOTHING, &NOTHING, &NOTHING).await
    }

    /// What a job would cost at most.
    pub async fn quote(&self, spec: JobSpec) -> Result<Quote, ClientError> {
        self.call::<Quotes>(&NOTHING, &NOTHING, &QuoteJob { spec }).await
    }

    /// Submits a job, and signs its component where nobody has. Its blobs must be there: see
    /// [`Client::upload_missing`].
    pub async fn submit(&self, job: &SubmitJob) -> Result<Submitted, ClientError> {
        let mut job = job.clone();
        let component = job.spec.component.digest;
        job.spec.component_signature.get_or_insert_with(|| sign_component(&self.key(), component));
        self.call::<Submit>(&NOTHING, &NOTHING, &job).await
    }

    /// One's own jobs, the newest first.
    pub async fn jobs(&self, query: &JobListQuery) -> Result<Jobs, ClientError> {
        self.call::<ListJobs>(&NOTHING, query, &NOTHING).await
    }

    /// The next page of a list of jobs; `None` where this is the last one.
    pub async fn more_jobs(&self, jobs: &Jobs) -> Result<Option<Jobs>, ClientError> {
        let Some(last) = jobs.jobs.last() else { return Ok(None) };
        let (before, before_job) = (Some(last.submitted), Some(last.id));
        let more = self.jobs(&JobListQuery { before, before_job, limit: None }).await?;
        Ok((!more.jobs.is_empty()).then_some(more))
    }

    /// A page of a job's tasks; with `revision` and `wait_ms` it waits for news.
    pub async fn job(&self, job: JobId, query: &JobQuery) -> Result<JobView, ClientError> {
        self.call::<GetJob>(&JobPath { job }, query, &NOTHING).await
    }

    /// No new leases for a job.
    pub async fn cancel(&self, job: JobId) -> Result<Cancelled, ClientError> {
        self.call::<Cancel>(&JobPath { job }, &NOTHING, &NOTHING).await
    }

    /// A paused job goes on.
    pub async fn resume(&self, job: JobId) -> Result<Cancelled, ClientError> {
        self.call::<Resume>(&JobPath { job }, &NOTHING, &NOTHING).await
    }

    /// Enrols this identity as a provider, or says what has changed.
    pub async fn enrol(&self, enrol: &Enrol) -> Result<(), ClientError> {
        self.call::<EnrolProvider>(&NOTHING, &NOTHING, enrol).await.map(drop)
    }

    /// Whether this provider wants leases.
    pub async fn pause(&self, paused: bool) -> Result<(), ClientError> {
        self.call::<PauseProvider>(&NOTHING, &NOTHING, &ProviderPause { paused }).await.map(drop)
    }

    /// Asks for leases and duties; waits where there is neither, at most as long as the poll says.
    pub async fn poll(&self, poll: &Poll) -> Result<PollReply, ClientError> {
        self.call::<PollProvider>(&NOTHING, &NOTHING, poll).await
    }

    /// Heartbeats, commits, reveals, faults and traces. Every item is answered by itself.
    pub async fn batch(&self, batch: &Batch) -> Result<BatchReply, ClientError> {
        self.call::<SendBatch>(&NOTHING, &NOTHING, batch).await
    }

    /// A page of all providers.
    pub async fn providers(&self, query: &ProviderListQuery) -> Result<Providers, ClientError> {
        self.call::<ListProviders>(&NOTHING, query, &NOTHING).await
    }

    /// One provider.
    pub async fn provider(&self, identity: Identity) -> Result<ProviderView, ClientError> {
        self.call::<GetProvider>(&ProviderPath { identity }, &NOTHING, &NOTHING).await
    }

    /// Serves an identity no more, or again; for who has the coordinator's own key.
    pub async fn set_ban(&self, ban: &Ban) -> Result<(), ClientError> {
        self.call::<SetBan>(&NOTHING, &NOTHING, ban).await.map(|Nothing {}| ())
    }

    /// A page of the log, unchecked.
    pub async fn log_page(&self, after: u64) -> Result<LogPage, ClientError> {
        self.call::<GetLog>(&NOTHING, &LogQuery { after, limit: None }, &NOTHING).await
    }

    /// Reads and checks the whole log, giving each checked page to `keep`.
    pub async fn audit(
        &self,
        mut keep: impl FnMut(&LogPage),
    ) -> Result<Result<LogSummary, LogError>, ClientError> {
        let mut verifier = LogVerifier::new(self.coordinator());
        loop {
            let page = self.log_page(verifier.checked()).await?;
            if let Err(error) = verifier.page(&page) {
                return Ok(Err(error));
            }
            keep(&page);
            if page.entries.is_empty() {
                return Ok(verifier.finish());
            }
        }
    }
}
