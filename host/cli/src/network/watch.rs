//! Watching a job at a coordinator: a line per verified task with its metrics, a bar on a terminal.

use std::collections::BTreeMap;

use anneal_api::{
    Client,
    wire::{
        AttemptState, FindingView, JobQuery, JobState, JobView, TaskState, TaskView, VerdictBy, VerdictView,
    },
};
use anneal_job::{Digest, Identity, JobId, PlannedTask, shown_name};
use anneal_runner::{
    failure::Outcome,
    progress::{self, number},
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::failure;
use crate::terminal::Terminal;

/// How long a call waits for news.
const WAIT_MS: u64 = 20_000;
/// Tasks of one answer.
const PAGE: u64 = 1_000;

/// Tells what happens to a job until it has ended, and whom its verdicts fault; the whole job then.
///
/// # Errors
/// The coordinator's.
pub async fn watch(client: &Client, job: JobId, terminal: &Terminal) -> Outcome<JobView> {
    let whole = watch_quietly(client, job, terminal).await?;
    for line in caught(client, &whole).await {
        terminal.note(line);
    }
    Ok(whole)
}

/// The same without the faults.
pub(super) async fn watch_quietly(client: &Client, job: JobId, terminal: &Terminal) -> Outcome<JobView> {
    let mut watcher = Watcher::new(terminal);
    let mut query = JobQuery { from: Some(0), tasks: Some(PAGE), ..JobQuery::default() };
    loop {
        let view = client.job(job, &query).await.map_err(failure)?;
        watcher.see(&view);
        if is_over(view.summary.state) && watcher.next >= view.summary.tasks_done.min(view.summary.tasks) {
            watcher.end(&view);
            return all_tasks(client, job).await;
        }
        let full = view.next.is_some_and(|next| watcher.next >= next);
        query.from = Some(watcher.next);
        query.revision = (!full).then_some(view.revision);
        query.wait_ms = (!full).then_some(WAIT_MS);
    }
}

/// A job with every task of it, and their receipts.
///
/// # Errors
/// The coordinator's.
pub async fn all_tasks(client: &Client, job: JobId) -> Outcome<JobView> {
    let mut query = JobQuery { receipts: Some(true), ..JobQuery::default() };
    let mut whole = client.job(job, &query).await.map_err(failure)?;
    while let Some(from) = whole.next {
        query.from = Some(from);
        let page = client.job(job, &query).await.map_err(failure)?;
        whole.tasks.extend(page.tasks);
        whole.next = page.next;
    }
    Ok(whole)
}

/// A state in a word.
pub fn state_name(state: JobState) -> &'static str {
    match state {
        JobState::Admitting => "admitting",
        JobState::Running => "running",
        JobState::Paused => "paused",
        JobState::Ending => "ending",
        JobState::Completed => "completed",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    }
}

/// A state with its reason.
pub fn state_words(view: &JobView) -> String {
    let state = state_name(view.summary.state);
    match &view.reason {
        Some(reason) => format!("{state}: {reason}"),
        None => state.to_owned(),
    }
}

fn is_over(state: JobState) -> bool {
    matches!(state, JobState::Completed | JobState::Failed | JobState::Cancelled)
}

/// What has been told already.
struct Watcher {
    terminal: Terminal,
    bar: Option<ProgressBar>,
    /// Tasks before this one have been told.
    next: u64,
    said: Option<String>,
}

impl Watcher {
    fn new(terminal: &Terminal) -> Watcher {
        let bar = terminal.interactive().then(|| {
            let style = ProgressStyle::with_template("[{bar:30}] {pos}/{len} tasks {elapsed} {msg}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style)
        });
        Watcher { terminal: *terminal, bar, next: 0, said: None }
    }

    fn see(&mut self, view: &JobView) {
        let next = self.next;
        let done = view.tasks.iter().skip_while(|task| task.index < next);
        for task in done {
            let Some(verdict) = task.verdict.as_ref().filter(|_| task.state == TaskState::Done) else {
                break;
            };
            self.line(&describe(view, task, verdict));
            self.next = task.index + 1;
        }
        let words = state_words(view);
        if view.reason.is_some() && self.said.as_ref() != Some(&words) {
            self.line(&words);
            self.said = Some(words);
        }
        if let Some(bar) = &self.bar {
            bar.set_length(view.summary.tasks);
            bar.set_position(view.summary.tasks_done);
            let open = view.tasks.iter().find(|task| task.state != TaskState::Done);
            bar.set_message(open.map(|task| task_words(view, task)).unwrap_or_default());
        }
    }

    fn end(&self, view: &JobView) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let mut lines = Vec::new();
        if let Some(end) = &view.end {
            lines.push(format!("result      {}", end.result));
            let metric =
                |(name, value): (&String, &f64)| format!("{:<11} {}", shown_name(name), number(*value));
            lines.extend(end.metrics.iter().map(metric));
        } else {
            lines.push(state_words(view));
        }
        lines.push(format!("paid        {} of at most {}", view.summary.spent, view.summary.cap));
        self.terminal.data(lines);
    }

    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.terminal.note(text)),
            None => self.terminal.note(text),
        }
    }
}

fn describe(view: &JobView, task: &TaskView, verdict: &VerdictView) -> String {
    let by = match verdict.by {
        VerdictBy::Agreement => match task.attempts.iter().filter(|a| a.state == AttemptState::Valid).count()
        {
            1 => "ran once".to_owned(),
            several => format!("{several} agree"),
        },
        VerdictBy::Replay => "replayed".to_owned(),
        VerdictBy::Cache => "known".to_owned(),
    };
    let result = verdict.result.map(|result| result.to_string()[..12].to_owned());
    let mut words = format!("{:<22} {:<9} {}", task_words(view, task), by, result.unwrap_or_default());
    let last: BTreeMap<&String, f64> =
        verdict.metrics.iter().map(|metric| (&metric.name, metric.value)).collect();
    for (name, value) in last {
        words += &format!("  {} {}", shown_name(name), number(value));
    }
    words
}

pub(super) fn task_words(view: &JobView, task: &TaskView) -> String {
    let planned = PlannedTask {
        index: task.index as usize,
        entry: task.entry,
        place: task.place,
        states: Vec::new(),
        parameters: Default::default(),
    };
    progress::describe(&planned, view.summary.tasks as usize)
}

/// Whom the verdicts fault, a line each: who, in which task, down to which operation.
pub(super) async fn caught(client: &Client, view: &JobView) -> Vec<String> {
    let mut lines = Vec::new();
    for task in &view.tasks {
        for fault in task.verdict.iter().flat_map(|verdict| &verdict.faults) {
            let attempt = task.attempts.iter().find(|attempt| attempt.attempt == fault.attempt);
            let who = match attempt {
                Some(attempt) => name(client, attempt.provider).await,
                None => "somebody".to_owned(),
            };
            lines.push(format!(
                "caught      {who} in {}{}",
                task_words(view, task),
                fault_words(&fault.finding)
            ));
        }
    }
    lines
}

/// A provider's name, with the first digits of its key: names are not unique.
async fn name(client: &Client, provider: Identity) -> String {
    let short = provider.to_string()[..12].to_owned();
    match client.provider(provider).await {
        Ok(known) if !known.name.is_empty() => format!("{} ({short})", shown_name(&known.name)),
        _ => short,
    }
}

/// Where an attempt went wrong: down to which operation.
fn fault_words(finding: &FindingView) -> String {
    let digest = |digest: &Digest| match digest.as_bytes().iter().all(|&byte| byte == 0) {
        true => "nothing".to_owned(),
        false => digest.to_string()[..12].to_owned(),
    };
    match finding {
        FindingView::Operation { step, operation, name, expected, found, .. } => format!(
            ", step {step}, operation {operation} `{}`: expected {}, found {}",
            shown_name(name),
            digest(expected),
            digest(found)
        ),
        FindingView::Commit { step, expected, found, .. } => {
            format!(", step {step}: expected {}, found {}", digest(expected), digest(found))
        }
        FindingView::Forged => ": its trace is not the one that its receipt commits to".to_owned(),
        FindingView::Silent => ": it gave no trace before its deadline".to_owned(),
        FindingView::Untraced => ": the task could not be traced".to_owned(),
    }
}
