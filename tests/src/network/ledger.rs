//! What must be true of a network's log when all is over: the chain holds, the audit finds nothing, nobody was
//! faulted, and every attempt has an end.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use anneal_job::{AttemptId, Timestamp};
use anneal_market::{CloseReason, Event, EventKind, GiveBackReason, audit};

use super::Developer;

/// A job that waits for a late attempt is over when that one's deadline has passed.
const FINAL_TIME: Duration = Duration::from_secs(180);

/// What a log comes to.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// Entries.
    pub entries: u64,
    /// Attempts, by how they ended.
    pub attempts: BTreeMap<&'static str, u64>,
    /// Replays by the coordinator.
    pub replays: u64,
    /// States that were lost and made again.
    pub states_lost: u64,
    /// When attempts committed.
    pub commits: Vec<Timestamp>,
}

/// Waits until every job is over, and checks the log.
///
/// # Panics
/// Where anything is not as it must be.
pub fn check(developer: &Developer) -> Ledger {
    let deadline = Instant::now() + FINAL_TIME;
    let events = loop {
        let read = developer.log().map(|pages| -> Vec<Event> {
            let entries = pages.into_iter().flat_map(|page| page.entries);
            entries.map(|entry| serde_json::from_str(&entry.event).expect("an event")).collect()
        });
        let problem = match read {
            Ok(events) if open_jobs(&events) == 0 => break events,
            Ok(events) => format!("{} jobs are not over", open_jobs(&events)),
            Err(error) => error,
        };
        assert!(Instant::now() < deadline, "{problem}");
        std::thread::sleep(Duration::from_millis(250));
    };
    let found = audit::audit(events.clone());
    assert_eq!(found.discrepancies, Vec::new(), "the audit finds nothing wrong");
    let mut ledger = Ledger { entries: events.len() as u64, ..Ledger::default() };
    let (mut open, mut shadows) = (BTreeSet::<AttemptId>::new(), BTreeSet::<AttemptId>::new());
    for Event { at, kind } in &events {
        match kind {
            EventKind::Leased { attempt, shadow, .. } => {
                assert!(open.insert(*attempt), "{attempt} is leased twice");
                shadows.extend(shadow.then_some(*attempt));
            }
            // A shadow ends with its receipt: no verdict names it.
            EventKind::Revealed { attempt, .. } if shadows.contains(attempt) => {
                open.remove(attempt);
                *ledger.attempts.entry("shadow").or_default() += 1;
            }
            EventKind::ShadowDiffered { attempt, .. } | EventKind::Dissented { attempt, .. } => {
                panic!("{attempt} is said to differ, and everybody is honest")
            }
            EventKind::Committed { .. } => ledger.commits.push(*at),
            EventKind::Replayed { .. } => ledger.replays += 1,
            EventKind::StateLost { .. } => ledger.states_lost += 1,
            EventKind::Fault { attempt, .. } => panic!("{attempt} was faulted, and everybody is honest"),
            EventKind::AttemptClosed { attempt, reason } => {
                assert_ne!(*reason, CloseReason::InvalidReceipt, "{attempt} has a bad receipt");
                // Who was superseded may still commit, until it is closed for another reason or judged.
                if *reason != CloseReason::Superseded {
                    open.remove(attempt);
                    *ledger.attempts.entry(fate(*reason)).or_default() += 1;
                }
            }
            EventKind::Verdict { attempts, .. } => {
                for judged in attempts {
                    assert!(judged.valid, "{} is not valid, and everybody is honest", judged.attempt);
                    open.remove(&judged.attempt);
                    *ledger.attempts.entry("valid").or_default() += 1;
                }
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "attempts without an end: {open:?}");
    ledger
}

/// A job ends when nothing about any of its tasks can change any more.
fn open_jobs(events: &[Event]) -> usize {
    let count = |is: fn(&EventKind) -> bool| events.iter().filter(|event| is(&event.kind)).count();
    let submitted = count(|kind| matches!(kind, EventKind::JobSubmitted { .. }));
    submitted - count(|kind| matches!(kind, EventKind::JobEnded { .. }))
}

fn fate(reason: CloseReason) -> &'static str {
    match reason {
        CloseReason::GivenBack { why: GiveBackReason::Lost } => "lost",
        CloseReason::GivenBack { .. } => "given back",
        CloseReason::HostFault { .. } => "machine failed",
        CloseReason::Expired => "expired",
        CloseReason::NotRevealed => "not revealed",
        CloseReason::InvalidReceipt => "invalid",
        CloseReason::Superseded => "superseded",
    }
}
