//! Generated input for every parser of this crate that faces the network. What is checked is in `entry`, which the
//! fuzz targets call, too.

mod entry;

use anneal_api::{LogEntry, LogHead, LogPage, SecretKey, log::genesis};
use anneal_job::{Digest, JobId, Timestamp};
use proptest::prelude::*;

/// Well-formed inputs, of which the generated ones are distortions.
fn samples() -> Vec<Vec<u8>> {
    let key = SecretKey::generate().expect("random");
    let digest = Digest::of(b"x");
    let entry = LogEntry::following(&genesis(&key.identity()), 1, Timestamp(1), "{}".to_owned());
    let head = LogHead::sign(&key, 1, entry.hash, Timestamp(2));
    let page = LogPage { entries: vec![entry], heads: vec![head] };
    let token = anneal_api::PageToken::make(&key, key.identity(), Timestamp(9));
    let grant = anneal_api::Grant::make(&key, key.identity(), JobId(digest), Timestamp(9));
    let spec = format!(
        r#"{{"component":{{"digest":"{digest}","bytes":1}},"inputs_blob":null,"inputs":{{}},"seed":1,
        "plan":{{"kind":"train","segments":1,"workers":1}},"parameters":{{"rate":0.1}},
        "limits":{{"gas":1,"handles":1,"memory_bytes":1,"tensor_bytes":1}},
        "versions":{{"contract":[0,1,0],"numerics":1,"gas":1}},"redundancy":"adaptive","price_cap":1,
        "private":true}}"#
    );
    let poll = r#"{"idle":[0],"seen":0,"wait_ms":0}"#.to_owned();
    let enrol = r#"{"name":"a","payout":null,"devices":[]}"#.to_owned();
    let commit = format!(r#"{{"commits":[{{"attempt":"{digest}","commitment":"{digest}"}}]}}"#);
    let line = serde_json::to_string(&page).expect("JSON");
    let texts = [
        format!(r#"{{"name":"a","nonce":1,"spec":{spec}}}"#),
        format!(r#"{{"spec":{spec}}}"#),
        poll,
        enrol,
        commit,
        format!("{line}\n{line}"),
        token.expose().to_owned(),
        grant.expose().to_owned(),
        "https://example.org:4200/".to_owned(),
        "http://[::1]:4200".to_owned(),
        digest.to_string(),
        format!("\0{}\n\u{1}1700000000000\n\u{3}{digest}", key.identity()),
    ];
    texts.into_iter().map(String::into_bytes).collect()
}

/// A distortion: bytes are replaced, doubled or left out.
fn distorted() -> impl Strategy<Value = Vec<u8>> {
    let change = (any::<prop::sample::Index>(), 0..3, any::<u8>());
    (any::<prop::sample::Index>(), prop::collection::vec(change, 0..6)).prop_map(|(which, changes)| {
        let samples = samples();
        let mut bytes = which.get(&samples).clone();
        for (place, kind, byte) in changes {
            if bytes.is_empty() {
                break;
            }
            let place = place.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 => bytes.insert(place, byte),
                _ => drop(bytes.remove(place)),
            }
        }
        bytes
    })
}

fn input() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => distorted(), 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_break_a_parser(bytes in input()) {
        entry::headers(&bytes);
        entry::texts(&bytes);
        entry::bodies(&bytes);
        entry::log(&bytes);
    }
}

#[test]
fn the_samples_are_well_formed() {
    let samples = samples();
    let text = |index: usize| std::str::from_utf8(&samples[index]).expect("text");
    assert!(serde_json::from_str::<anneal_api::wire::SubmitJob>(text(0)).is_ok());
    assert!(serde_json::from_str::<anneal_api::wire::QuoteJob>(text(1)).is_ok());
    assert!(serde_json::from_str::<anneal_api::wire::Poll>(text(2)).is_ok());
    assert!(serde_json::from_str::<anneal_api::wire::Enrol>(text(3)).is_ok());
    assert!(serde_json::from_str::<anneal_api::wire::Batch>(text(4)).is_ok());
    assert!(text(6).parse::<anneal_api::PageToken>().is_ok());
    assert!(text(7).parse::<anneal_api::Grant>().is_ok());
    assert!(text(8).parse::<anneal_api::CoordinatorUrl>().is_ok());
}
