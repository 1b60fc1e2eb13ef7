//! Logs that hold, that were changed, and that fork.

use anneal_api::{LogEntry, LogHead, LogPage, SecretKey, log::genesis};
use anneal_job::Timestamp;
use anneal_market::{Event, EventKind, Parameters};

use super::*;
use check::Check;

/// A log with these events, one head at its end.
fn log(key: &SecretKey, kinds: &[EventKind]) -> LogPage {
    let (mut entries, mut hash) = (Vec::new(), genesis(&key.identity()));
    for (number, kind) in kinds.iter().enumerate() {
        let at = Timestamp(1_000 + number as u64);
        let event = serde_json::to_string(&Event { at, kind: kind.clone() }).expect("JSON");
        let entry = LogEntry::following(&hash, number as u64 + 1, at, event);
        hash = entry.hash;
        entries.push(entry);
    }
    let head = LogHead::sign(key, entries.len() as u64, hash, Timestamp(2_000));
    LogPage { entries, heads: vec![head] }
}

fn rules() -> EventKind {
    EventKind::RulesSet { parameters: Box::new(Parameters::default()) }
}

fn epoch(epoch: u64) -> EventKind {
    EventKind::EpochCommitted { epoch, commitment: Digest::of(&epoch.to_le_bytes()) }
}

fn checked(key: &SecretKey, name: &str, page: &LogPage) -> LogReport {
    let mut check = Check::new(key.identity(), &BTreeMap::new());
    check.page(page);
    check.finish(name.to_owned())
}

#[test]
fn what_is_wrong_is_named_with_its_entry() {
    let key = SecretKey::generate().expect("random");
    let honest = log(&key, &[rules(), epoch(1), epoch(2)]);
    let report = checked(&key, "honest", &honest);
    assert_eq!((report.entries, report.heads, report.problems.len()), (3, 1, 0), "{:?}", report.problems);

    // The chain holds and is signed, but the coordinator broke its own rules.
    let twice = checked(&key, "twice", &log(&key, &[rules(), epoch(1), epoch(1)]));
    let [problem] = &twice.problems[..] else { panic!("one problem: {:?}", twice.problems) };
    assert_eq!((problem.entry, problem.event.as_deref()), (Some(3), Some("epoch-committed")), "{problem}");
    let ruleless = checked(&key, "ruleless", &log(&key, &[epoch(1)]));
    assert_eq!(ruleless.problems[0].entry, Some(1));

    let mut changed = honest.clone();
    changed.entries[1].event = changed.entries[1].event.replace("\"epoch\":1", "\"epoch\":7");
    let report = checked(&key, "changed", &changed);
    assert_eq!(report.entries, 1, "nothing after a broken chain counts");
    assert!(report.problems[0].to_string().contains("entry 2 has hash"), "{}", report.problems[0]);
    let failure = failure(&AuditReport { logs: vec![report], mirrors: Vec::new() }).expect("a failure");
    assert_eq!((failure.kind, failure.exit_status()), (ErrorKind::DoesNotHold, 1));
}

#[test]
fn a_receipt_that_is_kept_must_be_in_the_log() {
    let key = SecretKey::generate().expect("random");
    let receipts = BTreeMap::from([(AttemptId(Digest::of(b"attempt")), Digest::of(b"root"))]);
    let mut check = Check::new(key.identity(), &receipts);
    check.page(&log(&key, &[rules()]));
    let report = check.finish("log".to_owned());
    assert_eq!(report.receipts_found, Some(0));
    assert!(report.problems[0].problem.contains("is not in it"), "{}", report.problems[0]);
}

#[test]
fn mirrors_agree_as_far_as_both_go_or_fork() {
    let key = SecretKey::generate().expect("random");
    let long = log(&key, &[rules(), epoch(1), epoch(2)]);
    let mut both = long.clone();
    let middle = &both.entries[1];
    both.heads.insert(0, LogHead::sign(&key, 2, middle.hash, Timestamp(1_500)));
    let short = log(&key, &[rules(), epoch(1)]);
    let forked = log(&key, &[rules(), epoch(3)]);
    let report = |name: &str, page: &LogPage| checked(&key, name, page);
    let (both, short, forked) = (report("both", &both), report("short", &short), report("forked", &forked));
    let same = compare(&both, &short);
    assert_eq!((same.agree_to, same.fork), (2, None));
    let other = compare(&both, &forked);
    assert_eq!((other.agree_to, other.fork), (0, Some(2)));
    let told = failure(&AuditReport { logs: vec![both, forked], mirrors: vec![other] }).expect("a fork");
    assert!(told.to_string().contains("differ at entry 2"), "{told}");
}
