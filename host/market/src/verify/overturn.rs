//! A verdict was wrong: everybody who agreed on it lied. What was built on it is run again, paid from what
//! they forfeit, then from the network's fees, never by the developer.

use anneal_job::Digest;

use crate::{
    Effect, EventKind, Evidence, Key, Market, StateRef, TaskKey,
    attempt::AttemptState,
    job::first_descendant,
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
        for id in self.attempts_where(key, |attempt| agreed(&attempt.state)) {
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
        let Some(job) = self.jobs.get(&key.job).filter(|job| job.next > from) else { return 0 };
        let reset = job.next - from;
        let live: Vec<(TaskKey, Phase)> = self
            .live_tasks(key.job)
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
        if let Some(job) = self.job_mut(key.job) {
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
            self.effect(Effect::DropBlob { job: key.job, index, blob });
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
