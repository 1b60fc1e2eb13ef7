//! A developer of the network: submits through the command, watches and audits through the client.

use std::{
    fs,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anneal_api::{
    Client, ClientError, ClientOptions, LogPage, SecretKey,
    client::Retry,
    wire::{JobQuery, JobState, JobView},
};
use anneal_job::JobId;
use tokio::runtime::Runtime;

/// How long one look at a job waits for news.
const WAIT_MS: u64 = 500;

/// A job of a test, as the command line says it.
#[derive(Clone, Debug)]
pub struct JobLine {
    /// The directory, below the checkout.
    pub directory: &'static str,
    /// Makes the job another one than those before it.
    pub seed: u64,
    /// Data-parallel workers.
    pub workers: u32,
    /// Segments.
    pub segments: u32,
    /// Parameters, as `NAME=VALUE`.
    pub parameters: Vec<String>,
}

impl JobLine {
    /// `examples/hello`, in a few segments that take some tenths of a second each.
    pub fn hello(seed: u64) -> JobLine {
        let parameters = vec!["steps=4000".to_owned()];
        JobLine { directory: "examples/hello", seed, workers: 2, segments: 3, parameters }
    }

    fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![crate::component(self.directory).display().to_string()];
        let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        add("--manifest", crate::workspace().join(self.directory).join("job.toml").display().to_string());
        add("--seed", self.seed.to_string());
        add("--workers", self.workers.to_string());
        add("--segments", self.segments.to_string());
        self.parameters.iter().for_each(|parameter| add("--param", parameter.clone()));
        arguments
    }

    /// The digest of its result where nothing happens to it: run here, without any network.
    pub fn undisturbed(&self) -> String {
        let out = crate::scratch();
        let mut arguments = vec!["run".to_owned()];
        arguments.extend(self.arguments());
        arguments.extend(["--backend", "cpu", "--json", "--out"].map(str::to_owned));
        arguments.push(out.path().join("out").display().to_string());
        let report = crate::anneal(arguments).success().json();
        report["result"].as_str().expect("a run has a result").to_owned()
    }
}

/// A developer.
pub struct Developer {
    data: PathBuf,
    urls: Vec<String>,
    runtime: Runtime,
}

impl Developer {
    pub(super) fn new(data: PathBuf, urls: Vec<String>) -> Developer {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Developer { data, urls, runtime: runtime.expect("a runtime") }
    }

    /// The same one, behind another address: a bad line to the coordinator.
    pub fn behind(&self, url: String) -> Developer {
        Developer::new(self.data.clone(), vec![url])
    }

    /// Submits a job with redundancy two, through the command. The command itself is as patient as it is.
    pub fn submit(&self, job: &JobLine) -> JobId {
        let mut command = crate::command();
        command.env("ANNEAL_DATA", &self.data).env("ANNEAL_CACHE", self.data.join("cache"));
        command.arg("submit").args(job.arguments()).args(["--coordinator", &self.urls[0]]);
        command.args(["--redundancy", "2", "--yes", "--detach", "--json"]);
        let view = crate::finish(command).success().json();
        let id = view["summary"]["id"].as_str().expect("a job that was submitted has an id");
        id.parse().expect("an id")
    }

    /// Asks the first coordinator that answers.
    pub fn ask<T>(&self, ask: impl AsyncFn(Client) -> Result<T, ClientError>) -> Result<T, ClientError> {
        let key = fs::read_to_string(self.data.join("developer/key")).expect("the developer has a key");
        let key = Arc::new(SecretKey::parse(&key).expect("it is one"));
        let mut last = None;
        for url in &self.urls {
            let mut options = ClientOptions::new(url.parse().expect("a URL"), key.clone());
            options.retry = Retry::ONCE;
            let asked = self.runtime.block_on(async { ask(Client::connect(options).await?).await });
            match asked {
                Ok(answer) => return Ok(answer),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("a network has a coordinator"))
    }

    /// The job as it is now.
    ///
    /// # Errors
    /// Where nobody answers, and so on.
    pub fn view(&self, job: JobId) -> Result<JobView, ClientError> {
        let query = JobQuery { wait_ms: Some(WAIT_MS), ..JobQuery::default() };
        self.ask(async |client: Client| client.job(job, &query).await)
    }

    /// Watches a job to its end. One that is paused (two operators' machines failed on a task) is resumed, as its
    /// developer would do it; gives how often, too.
    ///
    /// # Panics
    /// Where it does not end in this time.
    pub fn ended(&self, job: JobId, time: Duration) -> (JobView, u64) {
        let (deadline, mut resumed) = (Instant::now() + time, 0);
        let mut last = None;
        while Instant::now() < deadline {
            match self.view(job) {
                Ok(view) => match view.summary.state {
                    JobState::Completed | JobState::Failed | JobState::Cancelled => return (view, resumed),
                    JobState::Paused => {
                        let asked = self.ask(async |client: Client| client.resume(job).await);
                        resumed += u64::from(asked.is_ok());
                    }
                    _ => last = Some(view),
                },
                // Somebody has just been killed; there is a time for all of it together.
                Err(_) => std::thread::sleep(Duration::from_millis(WAIT_MS)),
            }
        }
        panic!("the job has not ended after {} s: {last:#?}", time.as_secs());
    }

    /// The whole log, its chain checked.
    ///
    /// # Errors
    /// In words, where it cannot be had or is not whole.
    pub fn log(&self) -> Result<Vec<LogPage>, String> {
        let read = self.ask(async |client: Client| {
            let mut pages = Vec::new();
            let checked = client.audit(|page| pages.push(page.clone())).await?;
            Ok((pages, checked))
        });
        let (pages, checked) = read.map_err(|error| error.to_string())?;
        checked.map_err(|error| error.to_string())?;
        Ok(pages)
    }
}
