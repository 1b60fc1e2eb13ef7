//! The developers of a measurement: jobs of many small tasks, always enough of them open.

use std::path::Path;

use anneal_api::{
    Client,
    wire::{JobListQuery, JobState},
};
use anneal_job::{ParameterValue, PlanSpec, Redundancy};
use tokio::task::AbortHandle;

use crate::fixture::{Job, client_at, new_key};

/// Tasks of a job.
const TASKS: i64 = 2_500;
/// Jobs at once: each has 256 open tasks at most.
const JOBS: usize = 16;
/// How often new ones are submitted.
const EVERY: std::time::Duration = std::time::Duration::from_millis(200);

/// A developer, and jobs without end.
pub struct Developer {
    client: Client,
    feeding: AbortHandle,
}

impl Developer {
    /// Submits the first jobs, and goes on as they end.
    pub async fn begin(url: &str, folder: &Path, seed: u64) -> Developer {
        let client = client_at(url, new_key()).await;
        let over = [("n".to_owned(), (0..TASKS).map(ParameterValue::Integer).collect())].into();
        let mut job = Job::new(folder, PlanSpec::Map { over }, Redundancy::Fixed(2));
        // Another seed makes other tasks: nothing comes from the cache.
        job.spec.seed = seed << 32;
        fill(&client, &mut job).await;
        let feeder = client.clone();
        let feeding = tokio::spawn(async move {
            loop {
                fill(&feeder, &mut job).await;
                tokio::time::sleep(EVERY).await;
            }
        });
        Developer { client, feeding: feeding.abort_handle() }
    }

    /// Tasks that are verified and stored, of all jobs.
    pub async fn tasks_done(&self) -> u64 {
        let mut done = 0;
        let mut query = JobListQuery::default();
        loop {
            let jobs = self.client.jobs(&query).await.expect("a list").jobs;
            done += jobs.iter().map(|job| job.tasks_done).sum::<u64>();
            match jobs.last() {
                Some(last) if jobs.len() == 100 => query.before = Some(last.submitted),
                _ => return done,
            }
        }
    }

    /// Leaves no work to the measurements that come after this one on the same coordinator: they would do it, and
    /// count only their own.
    pub async fn end(self) {
        self.feeding.abort();
        loop {
            let jobs = self.client.jobs(&JobListQuery::default()).await.expect("a list").jobs;
            let running: Vec<_> = jobs.iter().filter(|job| job.state == JobState::Running).collect();
            if running.is_empty() {
                return;
            }
            for job in running {
                self.client.cancel(job.id).await.expect("it ends");
            }
            tokio::time::sleep(EVERY).await;
        }
    }
}

impl Drop for Developer {
    fn drop(&mut self) {
        self.feeding.abort();
    }
}

async fn fill(client: &Client, job: &mut Job) {
    let jobs = client.jobs(&JobListQuery::default()).await.expect("a list").jobs;
    let running =
        jobs.iter().filter(|job| job.state == JobState::Running && job.tasks - job.tasks_done > 256);
    for _ in running.count()..JOBS {
        job.spec.seed += 1;
        job.submit(client).await;
    }
}
