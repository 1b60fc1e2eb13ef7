//! Jobs come and go: quotes, escrow, cancellation, and the end.

use anneal_job::{Credits, Digest, Identity, JobId, PlanError, Price, check_parameters, manifest};

use crate::{
    Account, Effect, EndKind, EventKind, JobEnd, JobSpec, JobTag, Key, Market, Quote, Rejection, Reply,
    enrol::check_count,
    job::{Job, JobStatus},
};

/// Providers on a job's list.
const ALLOW_MAX: usize = 1024;
/// Features that a job may require.
const REQUIRED_FEATURES_MAX: usize = 64;

impl Market {
    /// What a job would cost.
    ///
    /// # Errors
    /// Where it is no job that can be run.
    pub fn quote(&self, spec: &JobSpec) -> Result<Quote, Rejection> {
        check_spec(spec)?;
        let lowest = self.parameters.price_min;
        if spec.price_cap < lowest {
            return Err(Rejection::PriceCapTooLow { cap: spec.price_cap, lowest });
        }
        let tasks = spec.plan.task_count() as u64;
        let replicas = spec.redundancy.replicas_max();
        let replicas_max = replicas.saturating_add(self.parameters.replicas_extra);
        let today = self.classes.values().map(|class| class.price).min();
        let today = today.unwrap_or(self.parameters.price_initial).min(spec.price_cap);
        let gas = spec.gas_expected.unwrap_or(spec.limits.gas).min(spec.limits.gas);
        let cost = |price: Price, gas: u64, attempts: u64| {
            let each = price.cost(gas).ok_or(Rejection::AmountOverflow)?;
            each.0.checked_mul(attempts).map(Credits).ok_or(Rejection::AmountOverflow)
        };
        Ok(Quote {
            tasks,
            replicas,
            replicas_max,
            expected: cost(today, gas, tasks * u64::from(replicas))?,
            cap: cost(spec.price_cap, spec.limits.gas, tasks * u64::from(replicas_max))?,
        })
    }

    pub(crate) fn submit(&mut self, who: Identity, nonce: u64, spec: JobSpec) -> Result<Reply, Rejection> {
        if self.totals.epoch().is_none() {
            return Err(Rejection::NoEpoch);
        }
        let quote = self.quote(&spec)?;
        let id = JobId::of(who, spec.digest(), nonce);
        if self.jobs.contains_key(&id) {
            return Err(Rejection::JobExists);
        }
        let (available, jobs) =
            self.developers.get(&who).map_or((Credits::ZERO, 0), |known| (known.available, known.jobs));
        check_count(
            "the number of your jobs",
            jobs as usize + 1,
            self.parameters.jobs_per_developer as usize,
        )?;
        if available < quote.cap {
            return Err(Rejection::InsufficientFunds { needed: quote.cap, available });
        }
        // A public job's ids are for everybody to recompute.
        let salt = if spec.private { self.random("salt") } else { Digest::of(b"public") };
        let job = Job {
            id,
            developer: who,
            salt,
            tag: JobTag::of(id, salt),
            submitted_at: self.now(),
            status: JobStatus::Running,
            escrow: Credits::ZERO,
            spent: Credits::ZERO,
            remainder: 0,
            tasks: quote.tasks as u32,
            next: 0,
            done: 0,
            generation: 0,
            rerun_below: 0,
            states: Default::default(),
            checkpoints: Default::default(),
            gas_seen: Default::default(),
            end: None,
        };
        self.developer_mut(who).jobs += 1;
        let (tag, redundancy, own_list) = (job.tag, spec.redundancy, spec.has_own_list());
        self.touch(Key::Job(id));
        self.touch(Key::Spec(id));
        self.jobs.insert(id, job);
        self.specs.insert(id, spec);
        let (tasks, escrow) = (quote.tasks, quote.cap);
        self.emit(EventKind::JobSubmitted { job: tag, redundancy, tasks, escrow, own_list });
        self.post(Account::Available { owner: who }, Account::Escrow { job: id }, quote.cap);
        self.look_at(Key::Job(id));
        Ok(Reply::Submitted { job: id, salt, quote })
    }

    pub(crate) fn cancel(&mut self, who: Identity, id: JobId) -> Result<Reply, Rejection> {
        let job = self.jobs.get(&id).filter(|job| job.developer == who).ok_or(Rejection::UnknownJob)?;
        if matches!(job.status, JobStatus::Ending { .. }) {
            return Ok(Reply::Done);
        }
        let tag = job.tag;
        self.emit(EventKind::JobCancelled { job: tag });
        self.wind_up(id, EndKind::Cancelled, None);
        Ok(Reply::Done)
    }

    pub(crate) fn resume_job(&mut self, who: Identity, id: JobId) -> Result<Reply, Rejection> {
        let job = self.jobs.get(&id).filter(|job| job.developer == who).ok_or(Rejection::UnknownJob)?;
        match job.status {
            JobStatus::Admitting | JobStatus::Running => return Ok(Reply::Done),
            JobStatus::Paused { .. } => {}
            JobStatus::Ending { .. } => {
                let (state, advice) = ("ending".to_owned(), "submit it again with another nonce".to_owned());
                return Err(Rejection::JobState { state, advice });
            }
        }
        let tag = job.tag;
        if let Some(job) = self.job_mut(id) {
            job.status = JobStatus::Running;
        }
        self.emit(EventKind::JobResumed { job: tag });
        self.look_at(Key::Job(id));
        let tasks: Vec<_> = self.live_tasks(id).map(|task| task.key).collect();
        for key in tasks {
            if let Some(task) = self.task_mut(key) {
                task.host_faults.clear();
                task.replay_failures = 0;
                task.replay_retry_at = None;
            }
            self.look_at(Key::Task(key));
        }
        Ok(Reply::Done)
    }

    /// No new leases for now; the developer is told.
    pub(crate) fn pause_job(&mut self, id: JobId, message: String) {
        let Some(job) = self.jobs.get(&id).filter(|job| job.status == JobStatus::Running) else { return };
        let tag = job.tag;
        if let Some(job) = self.job_mut(id) {
            job.status = JobStatus::Paused { message: message.clone() };
        }
        self.emit(EventKind::JobPaused { job: tag });
        self.effect(Effect::TellDeveloper { job: id, message });
    }

    /// No new leases any more; what runs finishes, is judged and paid.
    pub(crate) fn wind_up(&mut self, id: JobId, kind: EndKind, message: Option<String>) {
        if let Some(job) = self.job_mut(id) {
            job.status = JobStatus::Ending { kind, message };
        }
        let tasks: Vec<_> = self.live_tasks(id).map(|task| task.key).collect();
        for key in tasks {
            if let Some(task) = self.task_mut(key) {
                task.closing = true;
                task.upload = None;
            }
            self.look_at(Key::Task(key));
        }
        self.look_at(Key::Job(id));
    }

    /// The job lacks nothing more of its plan: from now on its tasks wait less for what only others than its developer
    /// want to know.
    pub(crate) fn hurry(&mut self, id: JobId) {
        let tasks: Vec<_> = self.live_tasks(id).map(|task| task.key).collect();
        tasks.into_iter().for_each(|key| self.look_at(Key::Task(key)));
    }

    /// Opens what can be opened, and ends the job where nothing is left.
    pub(crate) fn go_on(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        if self.is_ending(&Key::Job(id)) {
            return;
        }
        match &job.status {
            JobStatus::Running => self.open_tasks(id),
            JobStatus::Admitting | JobStatus::Paused { .. } | JobStatus::Ending { .. } => {}
        }
        let Some(job) = self.jobs.get(&id) else { return };
        let busy = self.live_tasks(id).any(|task| !self.is_ending(&Key::Task(task.key)));
        if busy {
            return;
        }
        match job.status.clone() {
            JobStatus::Running if job.done == job.tasks => self.end_job(id, EndKind::Completed, None),
            JobStatus::Ending { kind, message } => self.end_job(id, kind, message),
            _ => {}
        }
    }

    fn end_job(&mut self, id: JobId, kind: EndKind, message: Option<String>) {
        let Some(job) = self.jobs.get(&id) else { return };
        let (developer, tag, refund, spent) = (job.developer, job.tag, job.escrow, job.spent);
        self.post(Account::Escrow { job: id }, Account::Available { owner: developer }, refund);
        let end = JobEnd { kind, message, spent, refund };
        if let Some(job) = self.job_mut(id) {
            job.end = Some(end.clone());
        }
        let known = self.developer_mut(developer);
        known.jobs = known.jobs.saturating_sub(1);
        self.emit(EventKind::JobEnded { job: tag, end: kind, refund });
        self.effect(Effect::JobEnded { job: id, end });
        self.end(Key::Job(id));
        self.end(Key::Spec(id));
    }
}

fn check_spec(spec: &JobSpec) -> Result<(), Rejection> {
    let bad = |what: &str, advice: &str| {
        Err(Rejection::BadSpec { what: what.to_owned(), advice: advice.to_owned() })
    };
    check_count("the number of inputs", spec.inputs.len(), manifest::INPUTS_MAX)?;
    check_count("the number of allowed providers", spec.allow.len(), ALLOW_MAX)?;
    check_count("the number of required features", spec.requirements.features.len(), REQUIRED_FEATURES_MAX)?;
    check_parameters(&spec.parameters, Some(&spec.plan)).map_err(|reason| match reason.excess() {
        Some((what, found, limit)) => {
            Rejection::TooMany { what: what.to_owned(), found: found as u64, limit: limit as u64 }
        }
        None => Rejection::BadSpec { what: "the parameters".to_owned(), advice: reason.to_string() },
    })?;
    spec.plan.check().map_err(|error| match error {
        PlanError::TooMany { what, found, limit } => {
            Rejection::TooMany { what: what.to_owned(), found: found as u64, limit: limit as u64 }
        }
        PlanError::NoTask { advice } => {
            Rejection::BadSpec { what: "the plan has no task".to_owned(), advice: advice.to_owned() }
        }
    })?;
    if spec.inputs_blob.is_some() == spec.inputs.is_empty() {
        return bad("inputs and their file do not go together", "send both or neither");
    }
    if spec.limits.gas == 0 || spec.gas_expected == Some(0) {
        return bad("a task without gas cannot run", "set limits.gas and leave the expectation out");
    }
    match anneal_job::Redundancy::fixed(spec.redundancy.replicas_max()) {
        Some(_) => Ok(()),
        None => bad("the redundancy is out of range", "write 1 to 8, or \"adaptive\""),
    }
}
