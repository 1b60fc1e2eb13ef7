//! Counters for Prometheus, and their text. Gauges are read when they are asked for.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

/// Upper bounds of a request's time, in milliseconds.
const BUCKETS_MS: [u64; 9] = [1, 5, 10, 25, 50, 100, 500, 2_500, 30_000];

/// What is counted.
#[derive(Default)]
pub(crate) struct Metrics {
    requests: Mutex<BTreeMap<(&'static str, u16), u64>>,
    times: Mutex<BTreeMap<&'static str, [u64; BUCKETS_MS.len() + 1]>>,
    /// Connections that are open.
    pub(crate) connections: AtomicU64,
    /// Connections that were not taken.
    pub(crate) connections_refused: AtomicU64,
    /// Transactions.
    pub(crate) commits: AtomicU64,
    /// Events in them.
    pub(crate) events: AtomicU64,
    /// Rows in them.
    pub(crate) rows: AtomicU64,
    /// Replays answered.
    pub(crate) replays: AtomicU64,
    /// Bytes of blobs received.
    pub(crate) blob_bytes_received: AtomicU64,
    /// Blobs at rest that were found lost or changed.
    pub(crate) blobs_rotten: AtomicU64,
    /// Bytes of blobs asked for.
    pub(crate) blob_bytes_sent: AtomicU64,
}

impl Metrics {
    /// A request was answered.
    pub(crate) fn answered(&self, endpoint: &'static str, status: u16, time: Duration) {
        *self
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry((endpoint, status))
            .or_default() += 1;
        let mut times = self.times.lock().unwrap_or_else(PoisonError::into_inner);
        let ms = time.as_millis() as u64;
        let bucket = BUCKETS_MS.iter().position(|bound| ms <= *bound).unwrap_or(BUCKETS_MS.len());
        times.entry(endpoint).or_default()[bucket] += 1;
    }

    /// The text that Prometheus reads, with these gauges.
    pub(crate) fn text(&self, gauges: &[(&str, u64)]) -> String {
        let mut text = String::new();
        let mut line = |name: &str, kind: &str, value: u64| {
            let _ = writeln!(text, "# TYPE anneal_{name} {kind}\nanneal_{name} {value}");
        };
        for (name, counter) in [
            ("connections_refused_total", &self.connections_refused),
            ("commits_total", &self.commits),
            ("events_total", &self.events),
            ("rows_total", &self.rows),
            ("replays_total", &self.replays),
            ("blobs_rotten_total", &self.blobs_rotten),
            ("blob_received_bytes_total", &self.blob_bytes_received),
            ("blob_sent_bytes_total", &self.blob_bytes_sent),
        ] {
            line(name, "counter", counter.load(Relaxed));
        }
        line("connections", "gauge", self.connections.load(Relaxed));
        for (name, value) in gauges {
            line(name, "gauge", *value);
        }
        self.requests_text(&mut text);
        text
    }

    fn requests_text(&self, text: &mut String) {
        text.push_str("# TYPE anneal_requests_total counter\n");
        for ((endpoint, status), count) in &*self.requests.lock().unwrap_or_else(PoisonError::into_inner) {
            let labels = format!("endpoint=\"{endpoint}\",status=\"{status}\"");
            let _ = writeln!(text, "anneal_requests_total{{{labels}}} {count}");
        }
        text.push_str("# TYPE anneal_request_milliseconds histogram\n");
        for (endpoint, buckets) in &*self.times.lock().unwrap_or_else(PoisonError::into_inner) {
            let mut sum = 0;
            for (index, count) in buckets.iter().enumerate() {
                sum += count;
                let bound = BUCKETS_MS.get(index).map_or("+Inf".to_owned(), u64::to_string);
                let labels = format!("endpoint=\"{endpoint}\",le=\"{bound}\"");
                let _ = writeln!(text, "anneal_request_milliseconds_bucket{{{labels}}} {sum}");
            }
            let _ = writeln!(text, "anneal_request_milliseconds_count{{endpoint=\"{endpoint}\"}} {sum}");
        }
    }
}
