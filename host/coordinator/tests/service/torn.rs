//! A database whose last write was torn, as a power cut may leave it: what was answered before is there, what was
//! not is not there by halves, the log's chain holds, and work goes on.

use std::{fs, path::Path};

use anneal_api::{LogEntry, LogHead, LogPage, LogVerifier, SecretKey, log::genesis};
use anneal_coordinator::store::{CommandRecord, Epoch, Row, RowKind, SqliteStore, Store, Transaction};
use anneal_job::{Digest, Timestamp};
use anneal_tests::random::Random;

/// Groups that were answered.
const COMMITS: u64 = 40;
/// Ways in which the last write was torn.
const TEARS: u64 = 60;

fn command(number: u64) -> Digest {
    Digest::of(&number.to_le_bytes())
}

/// A group: some entries with their head, rows of some pages, and a command's reply.
fn group(key: &SecretKey, number: u64, end: &mut (u64, Digest)) -> Transaction {
    let at = Timestamp(1_000 * number);
    let entries: Vec<LogEntry> = (0..=number % 3)
        .map(|_| {
            let entry = LogEntry::following(&end.1, end.0 + 1, at, format!("{{\"group\":{number}}}"));
            *end = (entry.sequence, entry.hash);
            entry
        })
        .collect();
    let value = vec![number as u8; 300 * (number as usize % 40)];
    let id = command(number);
    Transaction {
        commands: vec![CommandRecord { id, content: id, reply: number.to_le_bytes().to_vec(), at }],
        head: Some(LogHead::sign(key, end.0, end.1, at)),
        entries,
        rows: vec![Row { key: format!("job/{}", number % 7), value, kind: RowKind::Live }],
        ..Transaction::default()
    }
}

fn lead(store: &mut SqliteStore) -> Epoch {
    store.lead("http://127.0.0.1:1", None).expect("the store answers").expect("nobody else leads").epoch
}

#[test]
fn a_torn_write_loses_nothing_that_was_answered() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = SecretKey::generate().expect("random bytes");
    let path = folder.path().join("state.sqlite");
    let wal = folder.path().join("state.sqlite-wal");
    let mut store = SqliteStore::open(&path).expect("it opens");
    let epoch = lead(&mut store);
    let mut end = (0, genesis(&key.identity()));
    // Where the file of pending writes ends when the answer to each group goes out, and the log's end then.
    let mut answered = vec![(fs::metadata(&wal).expect("a WAL").len(), 0)];
    for number in 1..=COMMITS {
        store.commit(epoch, &group(&key, number, &mut end)).expect("committed");
        answered.push((fs::metadata(&wal).expect("a WAL").len(), end.0));
    }
    let (database, pending) = (fs::read(&path).expect("readable"), fs::read(&wal).expect("readable"));
    let mut random = Random::new(7);
    for tear in 0..TEARS {
        let from = answered[0].0 + random.below(pending.len() as u64 - answered[0].0 + 1);
        let mut torn = pending.clone();
        match tear % 3 {
            // It was not written at all from here on; nothing but zeros; something else.
            0 => torn.truncate(from as usize),
            1 => torn[from as usize..].fill(0),
            _ => torn[from as usize..].iter_mut().for_each(|byte| *byte ^= random.number() as u8 | 1),
        }
        let whole = answered.iter().rposition(|(bytes, _)| *bytes <= from).expect("the first is whole");
        let place = folder.path().join(format!("torn-{tear}"));
        check(&place, &database, &torn, &key, (whole as u64, answered[whole].1));
        fs::remove_dir_all(&place).expect("it is there");
    }
}

/// Opens what the power cut left, and looks for `whole`: the last answered group, and its last entry.
fn check(place: &Path, database: &[u8], pending: &[u8], key: &SecretKey, whole: (u64, u64)) {
    fs::create_dir(place).expect("a folder");
    fs::write(place.join("state.sqlite"), database).expect("written");
    fs::write(place.join("state.sqlite-wal"), pending).expect("written");
    let mut store = SqliteStore::open(&place.join("state.sqlite")).expect("it opens");
    let epoch = lead(&mut store);
    let end = store.log_end().expect("readable").map_or(0, |end| end.sequence);
    assert_eq!(end, whole.1, "{}: all that was answered, and no half of what was not", place.display());
    for number in 1..=COMMITS {
        let known = store.commands(&[command(number)]).expect("readable");
        assert_eq!(known.len(), usize::from(number <= whole.0), "{}: group {number}", place.display());
    }
    let mut verifier = LogVerifier::new(key.identity());
    let (entries, heads) = (store.log_entries(0, u64::MAX).expect("readable"), store.log_heads(0, u64::MAX));
    verifier.page(&LogPage { entries, heads: heads.expect("readable") }).expect("the chain holds");
    verifier.finish().expect("all of it is signed");
    let last = store.log_end().expect("readable").map_or(genesis(&key.identity()), |end| end.hash);
    store.commit(epoch, &group(key, whole.0 + 1, &mut (end, last))).expect("it goes on from there");
}
