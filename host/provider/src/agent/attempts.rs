//! Attempts, traces and uploads of an agent: from a lease to a signed receipt.

use std::{sync::Arc, time::Duration};

use anneal_api::{
    random_bytes,
    wire::{Lease, PollReply, SignedReceipt, TraceLevel},
};
use anneal_job::{AttemptId, Blob, Digest, FaultCode, HostFault, Receipt, Timestamp};
use anneal_runner::{
    TaskFiles,
    work::{self, Attempted, Traced, Work},
};
use anneal_sandbox::{Event, StopFlag, VERSIONS, check_versions};

use super::{Heard, Running, Shared, chain};
use crate::{
    desk::{Failure, blobs_of},
    record::Finished,
    status::WorkStatus,
};

/// An attempt gets no less than this, also where its deadline is near or clocks differ.
const TIME_MIN: Duration = Duration::from_secs(10);

impl Running {
    pub(super) fn told_poll(&self, reply: &PollReply) {
        self.shared.board.change(|status| {
            status.trouble = None;
            for none in &reply.none {
                if let Some(device) = status.devices.get_mut(&none.device) {
                    device.no_lease = Some(none.hint.clone());
                }
            }
        });
    }

    pub(super) fn told_lease(&self, lease: &Lease) {
        let device = self.shared.devices.get(&lease.device);
        let device = device.map_or("a device that is gone", |device| &device.offer.name);
        self.shared.board.line(format!("leased {} on {device}", describe(lease)));
    }

    pub(super) fn begin_run(&mut self, lease: Lease) {
        let stop = self.stop_of(lease.attempt);
        let (shared, tell) = (Arc::clone(&self.shared), self.tell.clone());
        self.tasks.spawn(async move {
            let attempt = lease.attempt;
            let heard = match shared.run(lease, stop).await {
                Ok(finished) => Heard::Ran(attempt, Box::new(finished)),
                Err(failure) => Heard::Failed(attempt, failure),
            };
            let _the_agent_ended = tell.send(heard).await;
        });
    }

    pub(super) fn begin_fetch(&mut self, lease: Lease) {
        let (shared, tell) = (Arc::clone(&self.shared), self.tell.clone());
        self.tasks.spawn(async move {
            let fetched = shared.fetch(&lease).await.map(drop);
            let _the_agent_ended = tell.send(Heard::Fetched(lease.attempt, fetched)).await;
        });
    }

    pub(super) fn begin_trace(&mut self, lease: Lease, level: TraceLevel) {
        let stop = self.stop_of(lease.attempt);
        let (shared, tell) = (Arc::clone(&self.shared), self.tell.clone());
        self.tasks.spawn(async move {
            let attempt = lease.attempt;
            let heard = match shared.trace(lease, level, stop).await {
                Ok(traced) => Heard::Traced(attempt, level, traced),
                Err(failure) => Heard::Failed(attempt, failure),
            };
            let _the_agent_ended = tell.send(heard).await;
        });
    }

    pub(super) fn begin_upload(&mut self, attempt: AttemptId, blob: Blob) {
        let (shared, tell) = (Arc::clone(&self.shared), self.tell.clone());
        self.tasks.spawn(async move {
            let path = shared.folder.state(attempt);
            let result = shared.client.upload(blob, &path, Some(attempt), &mut |_, _| {}).await;
            let _the_agent_ended = tell.send(Heard::Uploaded(attempt, result)).await;
        });
    }

    fn stop_of(&mut self, attempt: AttemptId) -> StopFlag {
        let stop = StopFlag::default();
        self.stops.insert(attempt, stop.clone());
        stop
    }
}

impl Shared {
    async fn run(self: &Arc<Self>, lease: Lease, stop: StopFlag) -> Result<Finished, Failure> {
        self.at_work(&lease, false);
        let attempted = self.attempted(&lease, stop).await;
        self.at_rest(&lease);
        match &attempted {
            Ok(_) => self.board.line(format!("ran {}", describe(&lease))),
            Err(failure) => self.board.line(format!("failed in {}: {}", describe(&lease), why(failure))),
        }
        let attempted = attempted?;
        self.board.change(|status| status.gas = status.gas.saturating_add(attempted.outcome.gas()));
        self.sign(&lease, attempted).map_err(Failure::Fault)
    }

    async fn attempted(self: &Arc<Self>, lease: &Lease, stop: StopFlag) -> Result<Attempted, Failure> {
        check(lease)?;
        match self.attempted_once(lease, stop.clone()).await {
            // What the disk has damaged is no fault of the task's, nor of anybody's who gave it to us.
            Err(Failure::Fault(fault)) if fault.code == FaultCode::Io && self.mend(lease).await => {
                self.attempted_once(lease, stop).await
            }
            other => other,
        }
    }

    async fn attempted_once(self: &Arc<Self>, lease: &Lease, stop: StopFlag) -> Result<Attempted, Failure> {
        let files = self.fetch(lease).await?;
        let output = self.folder.state(lease.attempt);
        self.on_device(lease, stop, files, move |shared, lease, files, stop| {
            let mut machine = (shared.devices[&lease.device].machine)();
            let work = Work {
                task: &lease.task,
                files: &files,
                time: shared.time(lease.deadline),
                stop: &stop,
                pace: shared.pace(lease.device),
            };
            let level = TraceLevel::Commits;
            work::attempt(&mut *machine, &shared.compiler, &work, &output, level, &mut |event| {
                shared.progress(lease.device, event);
            })
        })
        .await
    }

    async fn trace(
        self: &Arc<Self>,
        lease: Lease,
        level: TraceLevel,
        stop: StopFlag,
    ) -> Result<Traced, Failure> {
        check(&lease)?;
        self.board.line(format!("tracing {} for a dispute", describe(&lease)));
        self.at_work(&lease, true);
        let traced = async {
            let files = self.fetch(&lease).await?;
            self.on_device(&lease, stop, files, move |shared, lease, files, stop| {
                let mut machine = (shared.devices[&lease.device].machine)();
                let time = Duration::from_millis(lease.expected.times(4).0).max(TIME_MIN);
                let pace = shared.pace(lease.device);
                let work = Work { task: &lease.task, files: &files, time, stop: &stop, pace };
                work::trace(&mut *machine, &shared.compiler, &work, level)
            })
            .await
        };
        let traced = traced.await;
        if matches!(&traced, Err(Failure::Fault(fault)) if fault.code == FaultCode::Io) {
            // It is asked for again, with other files where these were damaged.
            self.mend(&lease).await;
        }
        self.at_rest(&lease);
        traced
    }

    /// Runs something on the lease's device, once the device is free.
    async fn on_device<T: Send + 'static>(
        self: &Arc<Self>,
        lease: &Lease,
        stop: StopFlag,
        files: TaskFiles,
        act: impl FnOnce(&Shared, &Lease, TaskFiles, StopFlag) -> Result<T, HostFault> + Send + 'static,
    ) -> Result<T, Failure> {
        let Some(device) = self.devices.get(&lease.device) else {
            return Err(Failure::Fault(internal("the lease is for a device that is not offered")));
        };
        let _one_at_a_time = device.gate.lock().await;
        let (shared, lease) = (Arc::clone(self), lease.clone());
        self.began(&lease);
        let number = lease.device;
        let done = tokio::task::spawn_blocking(move || act(&shared, &lease, files, stop)).await;
        self.rested(number);
        match done {
            Ok(result) => result.map_err(Failure::Fault),
            Err(error) => Err(Failure::Fault(internal(format!("the agent panicked: {error}")))),
        }
    }

    /// Gets the blobs that are not there yet.
    ///
    /// The worker compares inputs and states with the task, tensor by tensor; but a component it takes as it is,
    /// and one with a flipped bit may well run and give another result. So that one is digested before each run.
    async fn fetch(self: &Arc<Self>, lease: &Lease) -> Result<TaskFiles, Failure> {
        if self.folder.has(lease.component.digest) {
            self.remove_damaged(vec![lease.component]).await;
        }
        for blob in blobs_of(lease) {
            if !self.folder.has(blob.digest) {
                let path = self.folder.blob(blob.digest);
                let downloaded = self.client.download(blob, &path, &mut |_, _| {}).await;
                downloaded.map_err(|error| {
                    let error = chain(&error);
                    tracing::warn!(error, "a blob could not be fetched; the lease is given back");
                    self.board.line(format!("a blob could not be fetched: {error}"));
                    Failure::Blob
                })?;
            }
        }
        let path = |blob: Blob| self.folder.blob(blob.digest);
        Ok(TaskFiles {
            component: path(lease.component),
            inputs: lease.inputs_blob.map(path),
            states: lease.states.iter().map(|state| path(state.blob)).collect(),
        })
    }

    /// Removes the blobs of a lease that are not what they were when they came; says whether there were any.
    async fn mend(self: &Arc<Self>, lease: &Lease) -> bool {
        self.remove_damaged(blobs_of(lease).collect()).await
    }

    async fn remove_damaged(self: &Arc<Self>, blobs: Vec<Blob>) -> bool {
        let shared = Arc::clone(self);
        let looking = move || blobs.into_iter().filter(|blob| shared.folder.remove_damaged(*blob)).count();
        tokio::task::spawn_blocking(looking).await.is_ok_and(|removed| removed > 0)
    }

    fn time(&self, deadline: Timestamp) -> Duration {
        Duration::from_millis(deadline.since(self.client.now()).0).max(TIME_MIN)
    }

    fn sign(&self, lease: &Lease, attempted: Attempted) -> Result<Finished, HostFault> {
        let Some(device) = self.devices.get(&lease.device) else {
            return Err(internal("the lease is for a device that is not offered"));
        };
        let receipt = Receipt {
            task: lease.task_id,
            outcome: attempted.outcome,
            trace_root: attempted.trace_root,
            component: lease.task.component,
            versions: lease.task.versions,
            device_class: device.offer.class.clone(),
            provider: self.key.identity(),
            lease_epoch: lease.lease_epoch,
            salt: lease.salt,
        };
        let nonce = random_bytes().map_err(|error| internal(error.to_string()))?;
        Ok(Finished {
            receipt: SignedReceipt::sign(&self.key, lease.attempt, receipt),
            nonce: Digest::from_bytes(nonce),
            committed: false,
        })
    }

    fn at_work(&self, lease: &Lease, traced: bool) {
        let work = WorkStatus {
            attempt: lease.attempt,
            entry: lease.task.entry,
            place: lease.task.place,
            traced,
            progress: None,
        };
        self.board.change(|status| {
            if let Some(device) = status.devices.get_mut(&lease.device) {
                device.work = Some(work);
                device.no_lease = None;
            }
        });
    }

    fn at_rest(&self, lease: &Lease) {
        self.board.change(|status| {
            if let Some(device) = status.devices.get_mut(&lease.device) {
                device.work = None;
            }
        });
    }

    fn progress(&self, device: u32, event: &Event) {
        let Event::Progress { done, total } = event else { return };
        self.progressed(device, *done, *total);
        self.board.change(|status| {
            if let Some(work) = status.devices.get_mut(&device).and_then(|device| device.work.as_mut()) {
                work.progress = Some((*done, *total));
            }
        });
    }
}

/// A lease that contradicts itself is not run: its receipt would be held against us. Nor is one of versions that this
/// program does not run, whatever its coordinator says: the result would be another one's.
fn check(lease: &Lease) -> Result<(), Failure> {
    let task = &lease.task;
    check_versions(task.versions).map_err(|fault| {
        tracing::warn!(attempt = %lease.attempt, fault = fault.message, "the lease is given back");
        Failure::Versions
    })?;
    let same = task.id() == lease.task_id
        && task.component == lease.component.digest
        && task.states.iter().eq(lease.states.iter().map(|state| &state.state))
        && task.inputs.is_empty() == lease.inputs_blob.is_none();
    if same {
        return Ok(());
    }
    Err(Failure::Fault(internal("the lease names another task than the one it describes")))
}

pub(super) fn describe(lease: &Lease) -> String {
    let place = lease.task.place;
    let task = &lease.task_id.to_string()[..12];
    if place.workers > 1 {
        let (round, worker) = (place.round + 1, place.worker + 1);
        return format!("{} round {round} worker {worker} ({task})", lease.task.entry);
    }
    format!("{} {}/{} ({task})", lease.task.entry, place.segment + 1, place.segments)
}

fn why(failure: &Failure) -> String {
    match failure {
        Failure::Fault(fault) => fault.message.clone(),
        Failure::Blob => "its files could not be fetched".to_owned(),
        Failure::Versions => format!("it is of other versions than {VERSIONS}; update anneal"),
    }
}

fn internal(message: impl Into<String>) -> HostFault {
    HostFault { code: FaultCode::Internal, message: message.into() }
}

#[cfg(test)]
mod tests {
    use anneal_job::{Outcome, Versions};
    use anneal_runner::Compiler;
    use anneal_sandbox::{AttemptRequest, Machine, compile::CompileLimits};

    use super::*;
    use crate::desk::tests::lease;

    /// A machine that must not be asked.
    struct Never;

    impl Machine for Never {
        fn name(&self) -> &str {
            "never"
        }

        fn attempt(&mut self, _: &AttemptRequest, _: &mut dyn anneal_sandbox::Observer) -> Outcome {
            panic!("a task of other versions was run")
        }
    }

    #[test]
    fn a_lease_of_other_versions_is_refused_before_anything_is_done() {
        let known = lease(1, 0);
        assert_eq!(check(&known), Ok(()));
        for versions in [
            Versions { contract: [0, 2, 0], ..VERSIONS },
            Versions { numerics: VERSIONS.numerics + 1, ..VERSIONS },
            Versions { gas: VERSIONS.gas + 1, ..VERSIONS },
        ] {
            let mut doctored = lease(1, 0);
            doctored.task.versions = versions;
            doctored.task_id = doctored.task.id();
            assert_eq!(check(&doctored), Err(Failure::Versions));
            let files = TaskFiles { component: "/nowhere".into(), inputs: None, states: Vec::new() };
            let stop = StopFlag::default();
            let time = TIME_MIN;
            let work = Work { task: &doctored.task, files: &files, time, stop: &stop, pace: None };
            let compiler =
                Compiler { command: Vec::new(), cache: "/nowhere".into(), limits: CompileLimits::DEFAULT };
            let output = std::path::Path::new("/nowhere");
            let level = TraceLevel::Commits;
            let ran = work::attempt(&mut Never, &compiler, &work, output, level, &mut |_| {});
            assert_eq!(ran.expect_err("not run").code, FaultCode::Versions);
            let traced = work::trace(&mut Never, &compiler, &work, level);
            assert_eq!(traced.expect_err("not run").code, FaultCode::Versions);
        }
        let mut other = known;
        other.task.job_seed += 1;
        assert!(matches!(check(&other), Err(Failure::Fault(_))), "it names another task");
    }
}
