//! What people see of a run while it runs: a bar on a terminal, plain lines elsewhere.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anneal_job::{Metric, PlannedTask, shown_name};
use anneal_runner::progress::{self, describe, number};
use anneal_sandbox::{Event, Observer, StopFlag};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::terminal::{Lines, Terminal};

/// Metrics of one name are shown at most this often; the report has them all.
const METRIC_PAUSE: Duration = Duration::from_millis(200);
/// Lines of a plain log come no closer than this for mere progress.
const PROGRESS_PAUSE: Duration = Duration::from_secs(10);

/// Shows one run.
pub struct Progress {
    terminal: Terminal,
    bar: Option<ProgressBar>,
    task: String,
    stop: StopFlag,
    shown: BTreeMap<String, Instant>,
    /// Metrics that came too soon after the last one of their name: shown when the task ends.
    waiting: BTreeMap<String, Metric>,
    progress_shown: Instant,
}

impl Progress {
    /// For a run on this terminal, until it is stopped.
    pub fn new(terminal: &Terminal, stop: &StopFlag) -> Progress {
        let bar = terminal.interactive().then(|| {
            let style = ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3}% {elapsed} {msg}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr()).with_style(style);
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        Progress {
            terminal: *terminal,
            bar,
            task: String::new(),
            stop: stop.clone(),
            shown: BTreeMap::new(),
            waiting: BTreeMap::new(),
            progress_shown: Instant::now(),
        }
    }

    fn say(&self, text: impl Into<Lines>) {
        let lines = text.into();
        match &self.bar {
            Some(bar) => bar.suspend(|| self.terminal.note(lines)),
            None => self.terminal.note(lines),
        }
    }

    fn metric(&mut self, metric: Metric) {
        let now = Instant::now();
        let soon = self.shown.get(&metric.name).is_some_and(|&last| now - last < METRIC_PAUSE);
        if soon {
            self.waiting.insert(metric.name.clone(), metric);
        } else {
            self.waiting.remove(&metric.name);
            self.shown.insert(metric.name.clone(), now);
            self.show(&metric);
        }
    }

    fn show(&self, metric: &Metric) {
        let value = number(metric.value);
        let name = shown_name(&metric.name);
        self.say(format!("{}  step {:<6} {name} {value}", self.task, metric.step));
    }

    fn progress(&mut self, done: u64, total: u64) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(done.min(total));
            }
            None if self.progress_shown.elapsed() >= PROGRESS_PAUSE => {
                self.progress_shown = Instant::now();
                self.say(format!("{}  {done} of {total}", self.task));
            }
            None => {}
        }
    }
}

impl Observer for Progress {
    fn observe(&mut self, event: Event) {
        match event {
            Event::Progress { done, total } => self.progress(done, total),
            Event::Metric(metric) => self.metric(metric),
            // What a guest was doing when it was stopped from outside is nobody's question.
            Event::Log { .. } if self.stop.is_stopped() => {}
            Event::Log { line } => self.say(Lines::of_other(&format!("{}  | {line}", self.task))),
            Event::Step { steps } => {
                if let Some(bar) = &self.bar {
                    bar.set_message(format!("{steps} steps"));
                }
            }
            // The outcome repeats it.
            Event::Panic(_) => {}
            Event::Paced(_) | Event::TracedStep(_) | Event::TracedOperation(_) => {}
        }
    }
}

impl progress::Progress for Progress {
    fn begin(&mut self, task: &PlannedTask, tasks: usize) {
        self.task = describe(task, tasks);
        self.shown.clear();
        self.waiting.clear();
        if let Some(bar) = &self.bar {
            bar.reset();
            bar.set_length(0);
            bar.set_prefix(self.task.clone());
            bar.set_message("");
        }
    }

    /// The last value of each metric is shown.
    fn end(&mut self) {
        for metric in std::mem::take(&mut self.waiting).into_values() {
            self.show(&metric);
        }
    }

    fn line(&mut self, line: String) {
        self.say(line);
    }

    fn finish(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
