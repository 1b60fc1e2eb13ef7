//! The work that is held: a training without end, in a worker, at a pace that somebody sets.

use std::path::PathBuf;

use anneal_cli::{arguments::JobArguments, host::Host, job, terminal::Terminal};
use anneal_job::{Outcome, PlannedTask};
use anneal_runner::{Backend, Job};
use anneal_sandbox::{AttemptRequest, Event, Machine, PaceHandle, StopFlag};
use anyhow::{Result, anyhow, bail};

/// The digits, for longer than anybody measures.
pub struct Training(Job);

impl Training {
    /// Builds the component, unless it is one.
    pub fn load(host: &Host, component: PathBuf) -> Result<Training> {
        let arguments = JobArguments {
            job: component,
            manifest: Some("examples/digits/job.toml".into()),
            inputs: Vec::new(),
            parameters: vec!["epochs=1000000".to_owned()],
            seed: None,
            workers: None,
            segments: Some(1),
        };
        let job = job::load(&arguments, host, &Terminal::new(false)).map_err(|_| anyhow!("no digits"))?;
        Ok(Training(job))
    }

    /// Trains until it is stopped.
    pub fn run(
        &self,
        host: &Host,
        backend: &Backend,
        pace: PaceHandle,
        stop: &StopFlag,
        mut observe: impl FnMut(Event),
    ) -> Result<()> {
        let (Training(job), mut machine) = (self, host.launcher.worker(backend, None));
        let folder = tempfile::tempdir()?;
        let state = folder.path().join("state");
        let [init, train]: [PlannedTask; 2] =
            [0, 1].map(|index| job.report.plan.task(index)).map(|task| task.expect("a training has these"));
        let request =
            job.attempt(job.task(&init, Vec::new()), Vec::new(), Some(state.clone()), &StopFlag::default());
        let Outcome::Completed(begun) = machine.attempt(&request, &mut |_: Event| {}) else {
            bail!("init failed")
        };
        let request = job.attempt(job.task(&train, vec![begun.state]), vec![state], None, stop);
        let request = AttemptRequest { pace: Some(pace), ..request };
        machine.attempt(&request, &mut observe);
        Ok(())
    }
}
