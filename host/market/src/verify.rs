//! From receipts to verdicts. A task goes through its phases here; whatever happens to one of its attempts
//! puts it on the agenda, and [`Market::advance`] does what follows.
//!
//! - `judge`: agreement, disagreement, verdicts.
//! - `replay`: what trusted workers are asked, and what their answers mean.
//! - `overturn`: an audit contradicts a verdict.
//! - `dispute`: a faulty attempt is traced down to one operation.
//! - `settle`: states are stored, late attempts judged, earnings released.

mod dispute;
mod judge;
mod overturn;
mod replay;
mod settle;

use anneal_job::{AttemptId, Timestamp};

pub(crate) use settle::hour_of;

use crate::{
    Effect, Key, Market, TaskKey,
    attempt::{Attempt, AttemptState},
    job::JobStatus,
    matching::stumbles_max,
    task::Phase,
};

impl Market {
    /// Does what follows from what has happened to a task.
    pub(crate) fn advance(&mut self, key: TaskKey) {
        if self.is_ending(&Key::Task(key)) {
            return;
        }
        let Some(task) = self.tasks.get(&key) else { return };
        match task.phase {
            Phase::Open => self.advance_open(key),
            Phase::Revealing => self.advance_revealing(key),
            Phase::Replaying => self.weigh(key),
            Phase::Storing => self.advance_storing(key),
            Phase::Done => self.advance_done(key),
        }
        let Some(task) = self.tasks.get(&key) else { return };
        let wake_at = task.next_deadline();
        if wake_at != task.wake_at
            && let Some(task) = self.task_mut(key)
        {
            task.wake_at = wake_at;
        }
    }

    /// The attempts on a task for which something holds.
    fn attempts_where(&self, key: TaskKey, holds: impl Fn(&Attempt) -> bool) -> Vec<AttemptId> {
        self.attempts_on(key).filter(|attempt| holds(attempt)).map(|attempt| attempt.id).collect()
    }

    fn set_phase(&mut self, key: TaskKey, phase: Phase) {
        if let Some(task) = self.task_mut(key) {
            task.phase = phase;
        }
        self.look_at(Key::Task(key));
    }

    /// Receipts are asked for as soon as enough have committed and nobody else may still commit in good time:
    /// until then, nothing of a result can be known to anybody. Nobody waits for shadows.
    fn advance_open(&mut self, key: TaskKey) {
        let Some(task) = self.tasks.get(&key) else { return };
        let committed = |attempt: &Attempt| {
            matches!(attempt.state, AttemptState::Committed { .. } | AttemptState::Revealed { .. })
        };
        let quorum = || self.quorum_on(key);
        let closing = task.closing;
        let count = quorum().filter(|attempt| committed(attempt)).count();
        let waiting = quorum().any(|attempt| !attempt.is_over() && !committed(attempt));
        let busy = quorum().any(|attempt| attempt.is_running() && !self.is_silent(attempt));
        if closing && count == 0 && !waiting {
            return self.drop_task(key);
        }
        let enough = count >= usize::from(task.needed) || closing && count > 0;
        if busy || !enough && !self.trusted_worker_steps_in(key, count) {
            return;
        }
        if let Some(task) = self.task_mut(key) {
            task.trusted = !enough;
            task.waits_until = None;
        }
        for id in self.attempts_where(key, |attempt| attempt.is_running() && !attempt.shadow) {
            self.supersede(id);
        }
        let by = self.now() + self.parameters.reveal;
        for id in self.attempts_where(key, Attempt::is_committed) {
            let Some(attempt) = self.attempt_mut(id) else { continue };
            let provider = attempt.provider;
            attempt.wake_at = Some(by);
            if let AttemptState::Committed { reveal_by, .. } = &mut attempt.state {
                *reveal_by = Some(by);
            }
            self.effect(Effect::Call { provider });
        }
        self.set_phase(key, Phase::Revealing);
    }

    /// Whether a trusted worker takes the place of the anchor that a task lacks: at once where there is none, and
    /// otherwise when one could long have come and trusted workers have room. It never works for nobody: somebody
    /// has committed to the task, or failed at it.
    fn trusted_worker_steps_in(&mut self, key: TaskKey, count: usize) -> bool {
        let Some(task) = self.tasks.get(&key) else { return false };
        let vouched = self.has_own_list(key.job);
        let running = self.jobs.get(&key.job).is_some_and(|job| job.status == JobStatus::Running);
        if vouched || !running {
            return false;
        }
        let shadowed = self.attempts_on(key).any(|attempt| attempt.shadow && attempt.is_committed());
        let open = self.quorum_on(key).any(|attempt| !attempt.is_over() && !attempt.is_committed());
        let anchored = self.attempts_on(key).any(|attempt| attempt.anchor && attempt.is_committed());
        let all_but_one = count > 0 && !anchored && count + 1 >= usize::from(task.needed);
        let anchors = self.has_anchor_for(key);
        let stumbled = task.stumbles >= stumbles_max(anchors);
        if !(all_but_one || stumbled && !open || shadowed && count == 0 && !open) {
            self.wait_until(key, None);
            return false;
        }
        let now = self.now();
        let by = task.waits_until.unwrap_or(now + self.parameters.pairing_patience);
        let room = self.index.replays_open() < self.parameters.replays_room as usize;
        if !anchors || now >= by && room {
            return true;
        }
        let by = if now >= by { now + self.parameters.pairing_patience } else { by };
        self.wait_until(key, Some(by));
        false
    }

    /// Looks at the task again at a time, or at none.
    fn wait_until(&mut self, key: TaskKey, until: Option<Timestamp>) {
        if self.tasks.get(&key).is_some_and(|task| task.waits_until != until)
            && let Some(task) = self.task_mut(key)
        {
            task.waits_until = until;
        }
    }

    fn advance_revealing(&mut self, key: TaskKey) {
        let Some(task) = self.tasks.get(&key) else { return };
        let (needed, closing, trusted) = (usize::from(task.needed), task.closing, task.trusted);
        let alone = self.quorum_on(key).all(Attempt::is_over);
        if self.attempts_on(key).any(|attempt| attempt.is_committed() && (!attempt.shadow || alone)) {
            return;
        }
        let revealed = self.quorum_on(key).filter(|attempt| attempt.receipt().is_some()).count();
        if revealed < needed && !trusted && !(closing && revealed > 0) {
            // Somebody did not reveal: another attempt is needed, and nobody has seen what the others gave.
            self.set_phase(key, Phase::Open);
        } else {
            self.judge(key);
        }
    }

    /// Nobody works on a task that nobody wants.
    fn drop_task(&mut self, key: TaskKey) {
        for epoch in
            self.tasks.get(&key).map(|task| task.draw_epochs().collect::<Vec<_>>()).unwrap_or_default()
        {
            self.forget_draw(epoch);
        }
        for id in self.attempts_where(key, |_| true) {
            self.end(Key::Attempt(key, id));
        }
        self.end(Key::Task(key));
        self.look_at(Key::Job(key.job));
    }

    /// A deadline of a task has passed.
    pub(crate) fn task_due(&mut self, key: TaskKey) {
        let now = self.now();
        self.end_silent_disputes(key);
        let Some(task) = self.task_mut(key) else { return };
        if task.upload.is_some_and(|upload| upload.deadline <= now) {
            task.upload = None;
        }
        if task.replay_retry_at.is_some_and(|at| at <= now) {
            task.replay_retry_at = None;
            task.replay_failures = 0;
        }
        self.look_at(Key::Task(key));
    }
}
