//! What a group of turns has changed and nobody has committed yet.

use std::collections::{BTreeMap, BTreeSet};

use anneal_api::{LogEntry, LogHead, SecretKey};
use anneal_job::{Digest, Identity, JobId, Timestamp};
use anneal_market::{Applied, DeviceClass, Effect, Event, Key, Market, ReplayOrder, Waiting, row};

use crate::store::{CommandRecord, KeptBlob, LogEnd, OutboxItem, Row, RowKind, Transaction};

/// Room for most events, so that they need not be moved as they grow.
const EVENT_BYTES: usize = 512;

/// Changes that wait for their commit.
#[derive(Default)]
pub(super) struct Draft {
    changed: BTreeSet<Key>,
    ended: BTreeMap<Key, Vec<u8>>,
    rows: BTreeMap<String, Vec<u8>>,
    events: Vec<Event>,
    replays: Vec<ReplayOrder>,
    notices: Vec<Notice>,
    jobs: BTreeSet<JobId>,
    jobs_ended: BTreeSet<JobId>,
    pub(super) done: Vec<String>,
    pub(super) kept: Vec<KeptBlob>,
    pub(super) forgotten: Vec<Digest>,
    pub(super) commands: Vec<CommandRecord>,
}

/// What others must hear once it is committed. Nothing is lost where nobody does: whoever waits asks again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Notice {
    /// Devices may ask for leases again.
    Wake {
        /// Of this class, or of all.
        class: Option<DeviceClass>,
        /// For so many leases.
        slots: u64,
    },
    /// A provider has duties.
    Call(Identity),
    /// A job has changed.
    Job(JobId),
    /// It will not change any more, as far as anybody waits for that.
    JobEnded(JobId),
    /// A job waits for its component.
    Admit(Waiting),
    /// A replay is to be done.
    Replay(Box<ReplayOrder>),
    /// A job no longer needs a state.
    Drop {
        /// The job.
        job: JobId,
        /// The state's file.
        blob: Digest,
    },
    /// A provider must be told something.
    TellProvider(Identity, String),
}

impl Draft {
    /// Takes over what a command did.
    pub(super) fn take(&mut self, applied: Applied, now: Timestamp) {
        let Applied { reply: _, events, effects, changed, ended } = applied;
        for key in changed.iter().chain(ended.iter().map(|row| &row.key)) {
            let job = match key {
                Key::Job(job) => *job,
                Key::Task(task) | Key::Attempt(task, _) => task.job,
                _ => continue,
            };
            self.jobs.insert(job);
        }
        self.changed.extend(changed);
        self.ended.extend(ended.into_iter().map(|ended| (ended.key, ended.row)));
        self.events.extend(events);
        for effect in effects {
            self.effect(effect, now);
        }
    }

    fn effect(&mut self, effect: Effect, now: Timestamp) {
        let notice = match effect {
            Effect::Wake { class, slots } => Notice::Wake { class, slots },
            Effect::Call { provider } => Notice::Call(provider),
            Effect::DropBlob { job, blob, .. } => Notice::Drop { job, blob },
            Effect::Admit { waiting } => Notice::Admit(waiting),
            Effect::TellProvider { provider, message } => Notice::TellProvider(provider, message),
            Effect::JobEnded { job, .. } => {
                self.jobs_ended.insert(job);
                self.put(crate::views::ended_key(job), row::encode(&now));
                return;
            }
            Effect::Replay(order) => {
                self.replays.push(*order);
                return;
            }
            // Metrics, checkpoints, ends and reasons are read from the rows, and so reach who asks for them.
            Effect::PublishMetrics { .. }
            | Effect::KeepBlob { .. }
            | Effect::TellDeveloper { .. }
            | Effect::Post { .. } => return,
        };
        self.notices.push(notice);
    }

    pub(super) fn events(&self) -> u64 {
        self.events.len() as u64
    }

    pub(super) fn put(&mut self, key: String, value: Vec<u8>) {
        self.rows.insert(key, value);
    }

    /// Whether the market's clock is all that moved: that can wait for the next group.
    pub(super) fn is_only_time(&self) -> bool {
        self.extent() == 1
            && self.changed.contains(&Key::Totals)
            && self.replays.is_empty()
            && self.commands.is_empty()
    }

    /// How much there is: a turn that leaves it as it was has changed nothing.
    pub(super) fn extent(&self) -> usize {
        let notes = self.rows.len() + self.done.len() + self.kept.len() + self.forgotten.len();
        self.changed.len() + self.ended.len() + self.events.len() + notes
    }

    /// Everything as one transaction, with the log's new end, and what to tell when it is committed.
    pub(super) fn finish(
        self,
        market: &Market,
        key: &SecretKey,
        mut end: LogEnd,
        now: Timestamp,
    ) -> (Transaction, LogEnd, Vec<Notice>) {
        let mut notices = self.notices;
        notices.extend(self.jobs.into_iter().map(Notice::Job));
        notices.extend(self.jobs_ended.into_iter().map(Notice::JobEnded));
        let Draft { commands, done, kept, forgotten, .. } = self;
        let mut transaction = Transaction { commands, done, kept, forgotten, ..Transaction::default() };
        for event in self.events {
            let mut text = Vec::with_capacity(EVENT_BYTES);
            serde_json::to_writer(&mut text, &event).expect("an event holds nothing that JSON cannot");
            let text = String::from_utf8(text).expect("JSON is UTF-8");
            let entry = LogEntry::following(&end.hash, end.sequence + 1, event.at.max(end.at), text);
            end = LogEnd { sequence: entry.sequence, at: entry.at, hash: entry.hash };
            transaction.entries.push(entry);
        }
        if !transaction.entries.is_empty() {
            transaction.head = Some(LogHead::sign(key, end.sequence, end.hash, now.max(end.at)));
        }
        let mut rows: BTreeMap<String, Row> = BTreeMap::new();
        let mut write = |key: String, value: Vec<u8>, kind: RowKind| {
            rows.insert(key.clone(), Row { key, value, kind });
        };
        for (key, value) in self.rows {
            write(key, value, RowKind::Own);
        }
        for key in self.changed {
            if let Some(value) = market.row(&key) {
                write(key.to_string(), value, RowKind::Live);
            }
        }
        for (key, value) in self.ended {
            // What came to life again after it ended is live.
            if market.row(&key).is_none() {
                match key {
                    Key::Cached(..) => transaction.deleted.push(key.to_string()),
                    _ => write(key.to_string(), value, RowKind::Ended),
                }
            }
        }
        transaction.rows = rows.into_values().collect();
        for order in self.replays {
            let payload = serde_json::to_vec(&order).expect("an order holds nothing that JSON cannot");
            transaction.outbox.push(OutboxItem { id: replay_name(&order), payload });
            notices.push(Notice::Replay(Box::new(order)));
        }
        (transaction, end, notices)
    }
}

/// The name of a replay in the outbox.
pub(crate) fn replay_name(order: &ReplayOrder) -> String {
    let id = serde_json::to_vec(&order.replay).expect("an id holds nothing that JSON cannot");
    format!("replay/{}", Digest::of(&id))
}
