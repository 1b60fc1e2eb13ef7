//! Tasks come to exist when the states they start from are there: never a whole plan at once.

use anneal_job::{Digest, JobId, PlannedTask};

use crate::{
    EventKind, Evidence, JobSpec, Key, Market, StateRef, TaskKey, TaskTag,
    task::{Phase, Task, Verdict},
};

impl Market {
    /// Opens tasks in the plan's order, as far as their states are there.
    pub(crate) fn open_tasks(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let limit = self.parameters.open_tasks_per_job as usize;
        let mut live = self.live_tasks(id).take(limit).count();
        let (mut next, count) = (job.next, job.tasks);
        while next < count && live < limit {
            let Some((spec, job)) = self.specs.get(&id).zip(self.jobs.get(&id)) else { return };
            let Some(planned) = spec.plan.task(next as usize) else { return };
            let states: Option<Vec<StateRef>> =
                planned.states.iter().map(|index| job.states.get(&(*index as u32)).copied()).collect();
            let Some(states) = states else { break };
            let key = TaskKey { job: id, index: next, generation: job.generation };
            let task = unrun_task(spec, &planned, &states);
            let (tag, needed) = (TaskTag::of(key, task.id(), job.salt), spec.redundancy.replicas_max());
            self.open_task(key, Task::new(key, task.id(), tag, self.now(), states, needed));
            next += 1;
            live += 1;
            if let Some(job) = self.job_mut(id) {
                job.next = next;
            }
        }
    }

    fn open_task(&mut self, key: TaskKey, mut task: Task) {
        let Some(job) = self.jobs.get(&key.job) else { return };
        task.rerun = key.index < job.rerun_below;
        let (job_tag, tag, id, developer, salt) = (job.tag, task.tag, task.id, job.developer, job.salt);
        self.emit(EventKind::TaskOpened { job: job_tag, task: tag });
        self.touch(Key::Task(key));
        if let Some((outcome, trace_root)) = self.cached_outcome(developer, id, key) {
            let verdict_key = outcome.key(salt);
            let evidence = Evidence::Quorum { needed: task.needed };
            task.verdict = Some(Verdict { outcome, key: verdict_key, trace_root, evidence, at: self.now() });
            task.phase = Phase::Storing;
            task.cached = true;
            self.emit(EventKind::CacheHit { job: job_tag, task: tag, key: verdict_key });
        }
        self.tasks.insert(key, Box::new(task));
        self.look_at(Key::Task(key));
    }

    /// What a task is, for whoever is to run it.
    pub(crate) fn runnable(&self, key: TaskKey) -> Option<anneal_job::Task> {
        let (spec, task) = self.specs.get(&key.job).zip(self.tasks.get(&key))?;
        let planned = spec.plan.task(key.index as usize)?;
        Some(unrun_task(spec, &planned, &task.states))
    }

    /// Gas that a task is expected to use.
    pub(crate) fn gas_expected(&self, key: TaskKey) -> u64 {
        let Some((spec, job)) = self.specs.get(&key.job).zip(self.jobs.get(&key.job)) else { return 0 };
        let entry = spec.plan.task(key.index as usize).map(|planned| planned.entry);
        let seen = entry.and_then(|entry| job.gas_seen.get(&entry)).copied();
        seen.or(spec.gas_expected).unwrap_or(spec.limits.gas).min(spec.limits.gas).max(1)
    }
}

fn unrun_task(spec: &JobSpec, planned: &PlannedTask, states: &[StateRef]) -> anneal_job::Task {
    let mut parameters = spec.parameters.clone();
    parameters.extend(planned.parameters.clone());
    let states: Vec<Digest> = states.iter().map(|state| state.state).collect();
    anneal_job::Task {
        component: spec.component.digest,
        entry: planned.entry,
        place: planned.place,
        job_seed: spec.seed,
        parameters,
        inputs: spec.inputs.clone(),
        states,
        limits: spec.limits,
        versions: spec.versions,
    }
}
