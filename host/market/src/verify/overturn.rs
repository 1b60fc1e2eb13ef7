//! A verdict was wrong: everybody who agreed on it lied. What was built on it is run again, paid from what
//! they forfeit, then from the network's fees, never by the developer. The same where a verified state was lost.

use anneal_job::{Digest, JobId};

use crate::{
    Effect, EventKind, Evidence, JobSpec, Key, Market, Reply, StateRef, TaskKey,
    attempt::AttemptState,
    job::{Job, JobStatus, first_descendant},
    task::{Phase, Truth, Verdict},
};

impl Market {
    /// Two replays agree with each other and contradict the verdict.
    pub(super) fn overturn(&mut self, key: TaskKey, truth: Truth) {
        let Some((task, salt)) = self.tasks.get(&key).zip(self.salt(key)) else { return };
        let (tag, done, closing) = (task.tag, task.phase == Phase::Done, task.closing);
        let verdict = Verdict {
            outcome: truth.outcome.clone(),
            key: truth.key,
            trace_root: truth.trace_root,
            evidence: Evidence::Replay,
            at: self.now(),
        };
        if let Some(task) = self.task_mut(key) {
            task.verdict = Some(verdict);
            task.upload = None;
        }
        let tasks_reset = if done && !closing { self.reset_descendants(key, &truth) } else { 0 };
        self.emit(EventKind::Overturned { task: tag, key: truth.key, tasks_reset });
        let agreed = |state: &AttemptState| matches!(state, AttemptState::Revealed { valid: Some(true), .. });
        // Shadows were held against what was wrong.
        for id in self.attempts_where(key, |attempt| attempt.shadow) {
            let Some(attempt) = self.attempt(&id).cloned() else { continue };
            let Some(receipt) = attempt.receipt() else { continue };
            if receipt.outcome.key(salt) == truth.key && receipt.trace_root == truth.trace_root {
                self.judge_shadow(&attempt, true);
            }
        }
        for id in self.attempts_where(key, |attempt| !attempt.shadow && agreed(&attempt.state)) {
            let Some(attempt) = self.attempt_mut(id) else { continue };
            attempt.earned = None;
            let mut found = truth.key;
            if let AttemptState::Revealed { valid, receipt, .. } = &mut attempt.state {
                *valid = Some(false);
                found = receipt.outcome.key(salt);
            }
            self.fault(id, truth.key, found);
            self.open_dispute(key, id);
        }
        self.learn(key, &truth.outcome);
        self.heed_failure(key, &truth.outcome);
        self.look_at(Key::Task(key));
        self.look_at(Key::Job(key.job));
    }

    /// Runs again what was built on a wrong state. Attempts that run finish, are judged and paid: their work
    /// was right. Gives how many tasks are run again.
    fn reset_descendants(&mut self, key: TaskKey, truth: &Truth) -> u64 {
        let Some((job, spec)) = self.jobs.get(&key.job).zip(self.specs.get(&key.job)) else { return 0 };
        let from = first_descendant(&spec.plan, key.index);
        if let (Some(state), true) = (truth_state(truth), job.states.contains_key(&key.index)) {
            let blob = state.blob.digest;
            if let Some(job) = self.job_mut(key.job) {
                job.states.insert(key.index, state);
            }
            self.effect(Effect::KeepBlob { job: key.job, index: key.index, blob });
        }
        self.run_again(key.job, from)
    }

    /// A blob is no longer there, or no longer what it was. What needs it is made again: a state by the tasks that
    /// it came from, at the network's expense. A component or inputs only their developer has.
    pub(crate) fn blob_lost(&mut self, blob: Digest) -> Reply {
        let stale: Vec<Key> = self
            .cached
            .iter()
            .filter(|(_, entry)| entry.outcome.state_blob().is_some_and(|state| state.digest == blob))
            .map(|((developer, task), _)| Key::Cached(*developer, *task))
            .collect();
        stale.into_iter().for_each(|key| self.end(key));
        let of_spec = |spec: &JobSpec| {
            spec.component.digest == blob || spec.inputs_blob.is_some_and(|inputs| inputs.digest == blob)
        };
        let uploaded: Vec<JobId> =
            self.specs.iter().filter(|(_, spec)| of_spec(spec)).map(|(id, _)| *id).collect();
        for id in uploaded {
            let message = "the file of its component or inputs was damaged at the coordinator: submit it once more, \
                           which uploads the file again, then `anneal retry` this job, or cancel it";
            self.pause_job(id, message.to_owned());
        }
        let lost =
            |job: &Job| job.states.iter().find(|(_, state)| state.blob.digest == blob).map(|(at, _)| *at);
        let lost: Vec<(JobId, u32)> =
            self.jobs.iter().filter_map(|(id, job)| lost(job).map(|index| (*id, index))).collect();
        for (id, index) in lost {
            let Some(from) = self.first_to_run_again(id, index) else { continue };
            let Some(tag) = self.jobs.get(&id).map(|job| job.tag) else { continue };
            let tasks_reset = self.run_again(id, from);
            if tasks_reset > 0 {
                self.emit(EventKind::StateLost { job: tag, tasks_reset });
                self.look_at(Key::Job(id));
            }
        }
        Reply::Done
    }

    /// The task that a lost state is made again from: its own, or an earlier one where what that starts from is
    /// no longer kept.
    fn first_to_run_again(&self, id: JobId, index: u32) -> Option<u32> {
        let (job, spec) = self.jobs.get(&id).zip(self.specs.get(&id))?;
        let mut from = index;
        loop {
            let needed = spec.plan.task(from as usize)?.states;
            let missing = needed.iter().map(|state| *state as u32);
            match missing.filter(|state| !job.states.contains_key(state)).min() {
                Some(earlier) => from = earlier,
                None => return Some(from),
            }
        }
    }

    /// Runs the tasks from this one on again, never at the developer's expense. Gives how many.
    fn run_again(&mut self, id: JobId, from: u32) -> u64 {
        // A job that is ending leases nothing more: what it gave up is not run again.
        let goes_on = |job: &&Job| job.next > from && !matches!(job.status, JobStatus::Ending { .. });
        let Some(job) = self.jobs.get(&id).filter(goes_on) else { return 0 };
        let reset = job.next - from;
        let live: Vec<(TaskKey, Phase)> = self
            .live_tasks(id)
            .filter(|task| task.key.index >= from && !task.closing)
            .map(|task| (task.key, task.phase))
            .collect();
        let not_done = live.iter().filter(|(_, phase)| *phase != Phase::Done).count() as u32;
        for (orphan, _) in &live {
            if let Some(task) = self.task_mut(*orphan) {
                task.closing = true;
                task.upload = None;
            }
            self.look_at(Key::Task(*orphan));
        }
        let mut dropped: Vec<(u32, Digest)> = Vec::new();
        if let Some(job) = self.job_mut(id) {
            job.rerun_below = job.rerun_below.max(job.next);
            job.next = from;
            job.done -= reset - not_done;
            job.generation += 1;
            dropped
                .extend(job.states.split_off(&from).into_iter().map(|(index, old)| (index, old.blob.digest)));
            dropped.extend(job.checkpoints.iter().filter(|(index, _)| *index >= from));
            job.checkpoints.retain(|(index, _)| *index < from);
        }
        for (index, blob) in dropped {
            self.effect(Effect::DropBlob { job: id, index, blob });
        }
        u64::from(reset)
    }
}

fn truth_state(truth: &Truth) -> Option<StateRef> {
    match &truth.outcome {
        anneal_job::ReceiptOutcome::Completed { completed, state_blob } => {
            Some(StateRef { state: completed.state, blob: *state_blob })
        }
        anneal_job::ReceiptOutcome::GuestFailure { .. } => None,
    }
}
