//! Every way to falsify a log, and what it is told.

use super::*;

fn log(key: &SecretKey, entries: u64) -> LogPage {
    let mut hash = genesis(&key.identity());
    let mut page = LogPage { entries: Vec::new(), heads: Vec::new() };
    for sequence in 1..=entries {
        let entry =
            LogEntry::following(&hash, sequence, Timestamp(sequence * 10), format!("{{\"n\":{sequence}}}"));
        hash = entry.hash;
        page.entries.push(entry);
        if sequence % 3 == 0 || sequence == entries {
            page.heads.push(LogHead::sign(key, sequence, hash, Timestamp(sequence * 10)));
        }
    }
    page
}

fn check(key: &SecretKey, pages: &[LogPage]) -> Result<LogSummary, LogError> {
    let mut verifier = LogVerifier::new(key.identity());
    for page in pages {
        verifier.page(page)?;
    }
    verifier.finish()
}

#[test]
fn a_log_holds_whole_and_in_pages() {
    let key = SecretKey::generate().expect("random");
    let whole = log(&key, 8);
    let summary = check(&key, std::slice::from_ref(&whole)).expect("an honest log");
    assert_eq!((summary.entries, summary.heads, summary.hash), (8, 3, whole.entries[7].hash));
    let pages = [
        LogPage { entries: whole.entries[..4].to_vec(), heads: whole.heads[..1].to_vec() },
        LogPage { entries: whole.entries[4..6].to_vec(), heads: whole.heads[1..2].to_vec() },
        LogPage { entries: whole.entries[6..].to_vec(), heads: whole.heads[1..].to_vec() },
    ];
    assert_eq!(check(&key, &pages), Ok(summary));
    assert_eq!(check(&key, &[]).map(|empty| empty.entries), Ok(0));
}

#[test]
fn what_was_changed_is_named() {
    let (key, other) = (SecretKey::generate().expect("random"), SecretKey::generate().expect("random"));
    let honest = log(&key, 8);
    let case = |what: &str, change: &dyn Fn(&mut LogPage), expected: &dyn Fn(&LogError) -> bool| {
        let mut page = honest.clone();
        change(&mut page);
        let error = check(&key, &[page]).expect_err(what);
        assert!(expected(&error), "{what}: {error}");
    };
    case("another event", &|page| page.entries[4].event = "{}".to_owned(), &|error| {
        matches!(error, LogError::Changed { sequence: 5, .. })
    });
    case("another time", &|page| page.entries[4].at = Timestamp(41), &|error| {
        matches!(error, LogError::Changed { sequence: 5, .. })
    });
    case("an earlier time", &|page| page.entries[4].at = Timestamp(1), &|error| {
        matches!(error, LogError::Backwards { sequence: 5 })
    });
    case("a missing entry", &|page| drop(page.entries.remove(4)), &|error| {
        matches!(error, LogError::Gap { expected: 5, found: 6 })
    });
    case("a cut end", &|page| drop(page.entries.pop()), &|error| {
        matches!(error, LogError::HeadPlace { sequence: 8 })
    });
    case("an end without signature", &|page| page.heads.truncate(2), &|error| {
        matches!(error, LogError::Unsigned { from: 7, to: 8 })
    });
    case("a head of another chain", &|page| page.heads[1].hash = Digest::of(b"x"), &|error| {
        matches!(error, LogError::HeadHash { sequence: 6, .. })
    });
    let forged = LogHead::sign(&other, 6, honest.entries[5].hash, Timestamp(60));
    case("a head by another", &|page| page.heads[1] = forged, &|error| {
        matches!(error, LogError::HeadSignature { sequence: 6, .. })
    });
    // The whole chain written anew by somebody else: its own key does not fit.
    assert!(matches!(check(&key, &[log(&other, 8)]), Err(LogError::Changed { sequence: 1, .. })));
}
