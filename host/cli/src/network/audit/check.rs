//! One log, page by page: the chain first, then what its events say. Holds no page, so a log of any length fits;
//! the signed places are kept to compare mirrors.

use std::{collections::BTreeMap, fmt};

use anneal_api::{LogEntry, LogPage, LogVerifier, log::genesis};
use anneal_job::{AttemptId, Digest, Identity, Timestamp};
use anneal_market::{Event, EventKind, audit::Auditor};
use serde::Serialize;

/// Problems that are listed: one is enough to convict.
const PROBLEMS_MAX: usize = 100;

/// What one log comes to.
#[derive(Clone, Debug, Serialize)]
pub struct LogReport {
    /// Where it is from.
    pub source: String,
    /// Whose log it is.
    pub coordinator: Identity,
    /// Entries whose place in the chain was checked.
    pub entries: u64,
    /// Signatures that were checked.
    pub heads: u64,
    /// The chain's hash at its end.
    pub hash: Digest,
    /// When its last entry was written: what came later, nobody has seen here.
    pub ends_at: Timestamp,
    /// Tasks that are not final at its end.
    pub tasks_open: u64,
    /// Commitments that were recomputed.
    pub commitments: u64,
    /// Verdicts that were recomputed.
    pub verdicts: u64,
    /// Payments that were recomputed.
    pub payments: u64,
    /// Draws that were repeated.
    pub draws: u64,
    /// Draws whose secret is not published yet.
    pub draws_open: u64,
    /// Receipts that were given and are in the log; `None` where none were given.
    pub receipts_found: Option<u64>,
    /// What does not hold; the first hundred.
    pub problems: Vec<Problem>,
    /// The chain's hash at each signed place.
    #[serde(skip)]
    pub signed: BTreeMap<u64, Digest>,
}

/// Something that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The entry of the log, where it is one's.
    pub entry: Option<u64>,
    /// What the entry says happened.
    pub event: Option<String>,
    /// Why it does not hold.
    pub problem: String,
}

/// A log that is being checked.
pub struct Check {
    coordinator: Identity,
    verifier: LogVerifier,
    auditor: Auditor,
    /// Receipts that the log has not revealed yet.
    missing: BTreeMap<AttemptId, Digest>,
    receipts: u64,
    heads: u64,
    end: (Timestamp, Digest),
    problems: Vec<Problem>,
    signed: BTreeMap<u64, Digest>,
    broken: bool,
}

impl Check {
    /// For the log of this coordinator, which must have revealed these receipts.
    pub fn new(coordinator: Identity, receipts: &BTreeMap<AttemptId, Digest>) -> Check {
        Check {
            coordinator,
            verifier: LogVerifier::new(coordinator),
            auditor: Auditor::default(),
            missing: receipts.clone(),
            receipts: receipts.len() as u64,
            heads: 0,
            end: (Timestamp(0), genesis(&coordinator)),
            problems: Vec::new(),
            signed: BTreeMap::new(),
            broken: false,
        }
    }

    /// The entry after which the next page begins.
    pub fn checked(&self) -> u64 {
        self.verifier.checked()
    }

    /// Whether a signature covers the last entry.
    pub fn is_signed(&self) -> bool {
        self.verifier.finish().is_ok()
    }

    /// Checks the next page; says whether it makes sense to go on: after a broken chain nothing does.
    pub fn page(&mut self, page: &LogPage) -> bool {
        if let Err(error) = self.verifier.page(page) {
            self.note(None, None, error.to_string());
            self.broken = true;
            return false;
        }
        for head in &page.heads {
            if self.signed.insert(head.sequence, head.hash).is_none() {
                self.heads += 1;
            }
        }
        for entry in &page.entries {
            self.entry(entry);
        }
        true
    }

    fn entry(&mut self, entry: &LogEntry) {
        let before = std::mem::replace(&mut self.end, (entry.at, entry.hash)).0;
        let event: Event = match serde_json::from_str(&entry.event) {
            Ok(event) => event,
            Err(error) => {
                return self.note(Some(entry), None, format!("it is no event of this version: {error}"));
            }
        };
        let name = event_name(&entry.event);
        if entry.at != event.at.max(before) {
            self.note(Some(entry), name.clone(), "its time is not its event's".to_owned());
        }
        if let EventKind::Revealed { attempt, receipt_root, .. } = &event.kind
            && let Some(root) = self.missing.remove(attempt)
            && root != *receipt_root
        {
            let words = format!("attempt {attempt} revealed another receipt than the one you keep");
            self.note(Some(entry), name.clone(), words);
            self.receipts -= 1;
        }
        if let Some(discrepancy) = self.auditor.read(&event) {
            self.note(Some(entry), name, discrepancy.problem);
        }
    }

    fn note(&mut self, entry: Option<&LogEntry>, event: Option<String>, problem: String) {
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { entry: entry.map(|entry| entry.sequence), event, problem });
        }
    }

    /// What the log comes to.
    pub fn finish(mut self, source: String) -> LogReport {
        if !self.broken
            && let Err(error) = self.verifier.finish()
        {
            self.note(None, None, error.to_string());
        }
        let lost: Vec<AttemptId> = self.missing.keys().copied().collect();
        for attempt in &lost {
            self.note(None, None, format!("the receipt of attempt {attempt} that you keep is not in it"));
        }
        let market = self.auditor.finish();
        LogReport {
            source,
            coordinator: self.coordinator,
            entries: self.verifier.checked(),
            heads: self.heads,
            hash: self.end.1,
            ends_at: self.end.0,
            tasks_open: market.tasks_open,
            commitments: market.commitments,
            verdicts: market.verdicts,
            payments: market.payments,
            draws: market.draws,
            draws_open: market.draws_open,
            receipts_found: (self.receipts > 0).then(|| self.receipts.saturating_sub(lost.len() as u64)),
            problems: self.problems,
            signed: self.signed,
        }
    }
}

/// The event's kind in its own word.
fn event_name(event: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        event: String,
    }
    serde_json::from_str::<Named>(event).ok().map(|named| named.event)
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.entry, &self.event) {
            (Some(entry), Some(event)) => write!(f, "entry {entry} ({event}): {}", self.problem),
            (Some(entry), None) => write!(f, "entry {entry}: {}", self.problem),
            (None, _) => f.write_str(&self.problem),
        }
    }
}
