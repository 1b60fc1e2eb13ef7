//! Watching a job at a coordinator: a line per verified task with its metrics, a bar on a terminal.

use anneal_api::{
    Client,
    wire::{JobQuery, JobState, JobView, TaskState, TaskView, VerdictBy, VerdictView},
};
use anneal_job::{JobId, PlannedTask};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::failure;
use crate::{
    failure::Outcome,
    progress::{self, number},
    terminal::Terminal,
};

/// How long a call waits for news.
const WAIT_MS: u64 = 20_000;
/// Tasks of one answer.
const PAGE: u64 = 1_000;

/// Tells what happens to a job until it has ended; the whole job then.
///
/// # Errors
/// The coordinator's.
pub async fn watch(client: &Client, job: JobId, terminal: &Terminal) -> Outcome<JobView> {
    let mut watcher = Watcher::new(terminal);
    let mut query = JobQuery { from: Some(0), tasks: Some(PAGE), ..JobQuery::default() };
    loop {
        let view = client.job(job, &query).await.map_err(failure)?;
        watcher.see(&view);
        if is_over(view.summary.state) && watcher.next >= view.summary.tasks_done.min(view.summary.tasks) {
            watcher.end(&view);
            return all_tasks(client, job).await;
        }
        let full = view.tasks.len() as u64 == PAGE;
        query.from = Some(watcher.next);
        query.revision = (!full).then_some(view.revision);
        query.wait_ms = (!full).then_some(WAIT_MS);
    }
}

/// A job with every task of it.
///
/// # Errors
/// The coordinator's.
pub async fn all_tasks(client: &Client, job: JobId) -> Outcome<JobView> {
    let mut query = JobQuery { from: Some(0), tasks: Some(PAGE), ..JobQuery::default() };
    let mut whole = client.job(job, &query).await.map_err(failure)?;
    let mut last = whole.tasks.len() as u64;
    while last == PAGE {
        query.from = Some(whole.tasks.len() as u64);
        let next = client.job(job, &query).await.map_err(failure)?;
        last = next.tasks.len() as u64;
        whole.tasks.extend(next.tasks);
    }
    Ok(whole)
}

/// A state in a word.
pub fn state_name(state: JobState) -> &'static str {
    match state {
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
            let Some(verdict) = task.verdict.as_ref().filter(|_| task.state == TaskState::Done) else { break };
            self.line(&describe(view, task, verdict));
            for fault in &verdict.faults {
                self.line(&format!("  caught    {}", fault_words(fault)));
            }
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
            lines.extend(end.metrics.iter().map(|(name, value)| format!("{name:<11} {}", number(*value))));
        } else {
            lines.push(state_words(view));
        }
        lines.push(format!("paid        {} of at most {} credits", view.summary.spent, view.summary.cap));
        self.terminal.data(lines.join("\n"));
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
        VerdictBy::Agreement => format!("{} agree", task.attempts.iter().filter(|a| a.receipt.is_some()).count()),
        VerdictBy::Replay => "replayed".to_owned(),
        VerdictBy::Cache => "known".to_owned(),
    };
    let result = verdict.result.map(|result| result.to_string()[..12].to_owned());
    let mut words = format!("{:<22} {:<9} {}", task_words(view, task), by, result.unwrap_or_default());
    let mut last = std::collections::BTreeMap::new();
    verdict.metrics.iter().for_each(|metric| drop(last.insert(&metric.name, metric.value)));
    for (name, value) in last {
        words += &format!("  {name} {}", number(value));
    }
    words
}

fn task_words(view: &JobView, task: &TaskView) -> String {
    let planned = PlannedTask {
        index: task.index as usize,
        entry: task.entry,
        place: task.place,
        states: Vec::new(),
        parameters: Default::default(),
    };
    progress::describe(&planned, view.summary.tasks as usize)
}

/// A fault as the market tells it: whoever it is, and down to which operation.
fn fault_words(fault: &serde_json::Value) -> String {
    let text = |name: &str| fault.get(name).map(|value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    let short = |name: &str| text(name).map(|text| text.chars().take(12).collect::<String>());
    let mut words = format!("provider {}", short("provider").unwrap_or_else(|| "unknown".to_owned()));
    for (label, value) in [
        ("step", text("step")),
        ("operation", text("operation")),
        ("number", text("operation_index")),
        ("expected", short("expected")),
        ("found", short("found")),
    ] {
        if let Some(value) = value.filter(|value| value != "null") {
            words += &format!(", {label} {value}");
        }
    }
    words
}
