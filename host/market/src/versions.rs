//! Tasks of versions that somebody cannot run: a device that was leased one, and a trusted worker that was asked to
//! replay one. Neither is a failure of anybody's, and nothing is decided by it.

use anneal_job::AttemptId;

use crate::{CloseReason, GiveBackReason, Market, TaskKey};

impl Market {
    /// The lease goes back, and costs its provider nothing. Its device has not passed the selftest of these versions,
    /// as it turns out: it is leased nothing more until it is registered again.
    pub(crate) fn take_back_unrunnable(&mut self, id: AttemptId) {
        let Some((provider, device)) = self.attempts.get(&id).map(|known| (known.provider, known.device))
        else {
            return;
        };
        self.close(id, CloseReason::GivenBack { why: GiveBackReason::Versions });
        let known = self.provider_mut(provider).and_then(|known| known.devices.get_mut(&device));
        if let Some(device) = known {
            device.offer.selftest = None;
        }
    }

    /// No trusted worker of this network runs the task's versions any more: asking again gives nothing else, so the
    /// job stands still, and whoever is doubted stays what they were.
    pub(crate) fn replay_impossible(&mut self, key: TaskKey, message: &str) {
        let (limit, retry_at) =
            (self.parameters.replay_failures_max, self.now() + self.parameters.replay_retry);
        let Some(task) = self.task_mut(key) else { return };
        task.replay_failures = task.replay_failures.max(limit);
        task.replay_retry_at = Some(retry_at);
        let message: String = message.chars().take(400).collect();
        self.pause_job(
            key.job,
            format!(
                "task {} cannot be judged here ({message}): cancel the job and submit it again with the anneal \
                 that this network runs",
                key.index
            ),
        );
    }
}
