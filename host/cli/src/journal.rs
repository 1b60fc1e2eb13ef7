//! What a long-running command tells its owner beside its output: warnings and errors, a line each on stderr.
//! Not a tracing system: spans are not shown, and nothing is kept.

use std::{
    fmt::{Debug, Write as _},
    io::Write as _,
    sync::atomic::{AtomicU64, Ordering},
};

use anneal_job::shown;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};

/// Writes events of this level and graver ones.
struct Journal {
    level: Level,
    spans: AtomicU64,
}

/// From here on, warnings and errors of this process are written to stderr; more where `ANNEAL_LOG` says so
/// (`info`, `debug`, `trace`).
pub fn write() {
    let level = std::env::var("ANNEAL_LOG").ok().and_then(|level| level.parse().ok()).unwrap_or(Level::WARN);
    let journal = Journal { level, spans: AtomicU64::new(1) };
    // Where there is one already, that one writes.
    let _ = tracing::subscriber::set_global_default(journal);
}

impl Subscriber for Journal {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level && metadata.target().starts_with("anneal")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(self.spans.fetch_add(1, Ordering::Relaxed).max(1))
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line { message: String::new(), fields: String::new() };
        event.record(&mut line);
        let level = event.metadata().level();
        // Who closed stderr does not want to hear it.
        let words = format!("{level}: {}{}", line.message, line.fields);
        // An event is a line, whatever a peer has put into its fields.
        let _ = writeln!(std::io::stderr().lock(), "{}", shown(&words));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// An event in words: its message, then its fields.
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _written_to_memory = match field.name() {
            // An event's own field of this name comes before its words.
            "message" if !self.message.is_empty() => write!(self.message, ": {value:?}"),
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, "; {name}: {value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}
