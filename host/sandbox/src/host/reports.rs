//! Interface `report`: progress, metrics, the log, a panic's last words. Caps what a guest can say, and how
//! often others hear it.

use std::{
    sync::mpsc::SyncSender,
    time::{Duration, Instant},
};

use anneal_job::{FailureCode, Metric};
use anneal_tensor::numerics;

use super::{Host, bindings::report};
use crate::{
    ending::Ending,
    event::{Event, Panic},
    limits,
};

/// Progress and steps are passed on at most this often: a guest may report millions of times.
const INTERVAL: Duration = Duration::from_millis(50);

/// What a guest has reported.
pub(crate) struct Reports {
    events: SyncSender<Event>,
    /// In the order they were reported.
    pub metrics: Vec<Metric>,
    /// The first panic's last words.
    pub panic: Option<Panic>,
    log_bytes: usize,
    progress: Throttle,
    steps: Throttle,
}

/// Passes an event on at most once an interval, and the last one always.
#[derive(Default)]
struct Throttle {
    last: Option<Instant>,
    waiting: Option<Event>,
}

impl Reports {
    pub(crate) fn new(events: SyncSender<Event>) -> Reports {
        Reports {
            events,
            metrics: Vec::new(),
            panic: None,
            log_bytes: 0,
            progress: Throttle::default(),
            steps: Throttle::default(),
        }
    }

    /// Passes an event on. Nobody may be listening any more.
    pub(crate) fn send(&self, event: Event) {
        let _nobody_listens = self.events.send(event);
    }

    /// A line for the developer, from the guest or about it.
    pub(crate) fn log(&mut self, message: &str) {
        if self.log_bytes >= limits::LOG_BYTES_MAX {
            return;
        }
        let line = shown(message, limits::LOG_LINE_BYTES_MAX);
        self.log_bytes += line.len() + 1;
        self.send(Event::Log { line });
        if self.log_bytes >= limits::LOG_BYTES_MAX {
            self.send(Event::Log { line: "(the log is full: the rest of it is dropped)".to_owned() });
        }
    }

    /// A line of the host's, however full the log is.
    pub(crate) fn log_by_host(&mut self, message: &str) {
        self.send(Event::Log { line: shown(message, limits::LOG_BYTES_MAX) });
    }

    /// Another commit is behind us.
    pub(crate) fn step(&mut self, steps: u64) {
        let event = self.steps.pass(Event::Step { steps });
        event.into_iter().for_each(|event| self.send(event));
    }

    /// Passes on what was held back.
    pub(crate) fn flush(&mut self) {
        let waiting = [self.steps.waiting.take(), self.progress.waiting.take()];
        waiting.into_iter().flatten().for_each(|event| self.send(event));
    }

    /// Takes a metric into the result.
    pub(crate) fn metric(&mut self, name: String, step: u64, value: f64) -> Result<(), Ending> {
        let fail = |code, message: String| Err(Ending::failure(code, message));
        if name.is_empty() || name.len() > limits::METRIC_NAME_BYTES_MAX {
            let message = format!(
                "the metric \"{}\" has a name of {} bytes; names have 1 to {}",
                shown(&name, 32),
                name.len(),
                limits::METRIC_NAME_BYTES_MAX
            );
            return fail(FailureCode::Limit, message);
        }
        if self.metrics.len() >= limits::METRICS_MAX {
            let message =
                format!("more than {} metrics were reported: report fewer steps", limits::METRICS_MAX);
            return fail(FailureCode::Limit, message);
        }
        if !value.is_finite() || value.abs() >= f64::from(numerics::MAX) {
            let message = format!(
                "the metric \"{}\" at step {step} is {value:e}; metrics are finite and below 2^62: the \
                 training has diverged, try a smaller learning rate",
                shown(&name, limits::METRIC_NAME_BYTES_MAX)
            );
            return fail(FailureCode::Overflow, message);
        }
        let metric = Metric { name, step, value };
        self.send(Event::Metric(metric.clone()));
        self.metrics.push(metric);
        Ok(())
    }
}

impl Throttle {
    fn pass(&mut self, event: Event) -> Option<Event> {
        let now = Instant::now();
        if self.last.is_some_and(|last| now.duration_since(last) < INTERVAL) {
            self.waiting = Some(event);
            return None;
        }
        self.last = Some(now);
        self.waiting = None;
        Some(event)
    }
}

impl report::Host for Host {
    fn progress(&mut self, done: u64, total: u64) -> wasmtime::Result<()> {
        self.charge(limits::CALL_GAS)?;
        let event = self.reports.progress.pass(Event::Progress { done, total });
        event.into_iter().for_each(|event| self.reports.send(event));
        Ok(())
    }

    fn metric(&mut self, name: String, step: u64, value: f64) -> wasmtime::Result<()> {
        self.charge_call(name.len())?;
        Ok(self.reports.metric(name, step, value)?)
    }

    fn log(&mut self, message: String) -> wasmtime::Result<()> {
        self.charge(limits::CALL_GAS + message.len() as u64)?;
        self.reports.log(&message);
        Ok(())
    }

    fn panic(&mut self, message: String, file: String, line: u32, column: u32) -> wasmtime::Result<()> {
        self.charge_call(message.len() + file.len())?;
        if self.reports.panic.is_none() {
            let message = shown(&message, limits::LOG_LINE_BYTES_MAX);
            let panic =
                Panic { message, file: shown(&file, limits::METRIC_NAME_BYTES_MAX * 4), line, column };
            self.reports.panic = Some(panic.clone());
            self.reports.send(Event::Panic(panic));
        }
        Ok(())
    }
}

/// A guest's text as it may be shown: cut, and without control characters that a terminal would obey.
pub(crate) fn shown(text: &str, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let clean = |c: char| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c };
    let mut shown: String = text[..end].chars().map(clean).collect();
    if end < text.len() {
        shown.push('…');
    }
    shown
}
