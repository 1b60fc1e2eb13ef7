//! The public log: an honest one holds, every tampering shows, and it says nothing of a private job. And the
//! words that go over the wire.

use anneal_job::{AttemptId, Credits, Digest, PlanSpec, Price, Redundancy, Timestamp};
use anneal_market::{Discrepancy, EpochSecret, Event, EventKind, Key, Nonce, Rejection, audit::audit, view};
use proptest::prelude::*;

use crate::desk::{Desk, honest, spec, strict};

/// A log with everything in it: a lie that is caught, an audit, payments, an epoch that is opened.
fn log() -> Vec<Event> {
    let mut desk = Desk::new(strict(), 3);
    desk.submit(spec(PlanSpec::Train { segments: 1, workers: 1 }, Redundancy::Fixed(2)));
    desk.finish(&[0, 1]);
    desk.replay(None);
    let (first, second) = (desk.lease(0), desk.lease(2));
    let (truth, lie) = (honest(&first, None), honest(&second, Some(1)));
    desk.commit(0, &first, &truth);
    desk.commit(2, &second, &lie);
    desk.reveal(0, &first, &truth).expect("asked");
    desk.reveal(2, &second, &lie).expect("asked");
    desk.replay(None);
    desk.wait(3600);
    desk.finish(&[0, 1]);
    while !desk.orders.is_empty() {
        desk.replay(None);
    }
    desk.wait(1);
    desk.ok(anneal_market::Command::BeginEpoch { secret: EpochSecret::from_bytes([9; 32]) });
    desk.events
}

/// Every number in a value, by a way to reach it again.
fn numbers(value: &mut serde_json::Value, act: &mut dyn FnMut(&mut serde_json::Value)) {
    match value {
        serde_json::Value::Number(_) => act(value),
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| numbers(item, act)),
        serde_json::Value::Object(fields) => fields.values_mut().for_each(|field| numbers(field, act)),
        _ => {}
    }
}

/// What a hostile coordinator may do to an event: leave it out, say it twice, or change a number in it.
#[derive(Clone, Debug)]
enum Hostile {
    Drop,
    Repeat,
    Number(usize, u64),
}

fn hostile() -> impl Strategy<Value = Vec<(prop::sample::Index, Hostile)>> {
    let number = prop_oneof![Just(0), Just(u64::MAX), Just(u64::from(u32::MAX)), any::<u64>()];
    let change = prop_oneof![
        1 => Just(Hostile::Drop),
        1 => Just(Hostile::Repeat),
        8 => (0usize..40, number).prop_map(|(place, number)| Hostile::Number(place, number)),
    ];
    prop::collection::vec((any::<prop::sample::Index>(), change), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_hostile_log_never_breaks_the_auditor(changes in hostile()) {
        static HONEST: std::sync::OnceLock<Vec<serde_json::Value>> = std::sync::OnceLock::new();
        let honest = HONEST.get_or_init(|| {
            log().iter().map(|event| serde_json::to_value(event).expect("JSON")).collect()
        });
        let mut events = honest.clone();
        for (which, change) in changes {
            let which = which.index(events.len().max(1));
            match change {
                Hostile::Drop => drop(events.remove(which)),
                Hostile::Repeat => events.insert(which, events[which].clone()),
                Hostile::Number(place, number) => {
                    // The rules hold the most numbers, and everything is reckoned with them.
                    let event = if number % 3 == 0 { 0 } else { which };
                    let mut count = 0;
                    numbers(&mut events[event], &mut |found| {
                        if count == place {
                            *found = number.into();
                        }
                        count += 1;
                    });
                }
            }
        }
        let read = |event: serde_json::Value| serde_json::from_value::<Event>(event).ok();
        let report = audit(events.into_iter().filter_map(read));
        prop_assert!(report.events <= honest.len() as u64 + 12);
    }
}

/// Changes an event, if it is one that this tampering is about.
type Tampering = (&'static str, fn(&mut EventKind) -> bool);

const TAMPERINGS: [Tampering; 12] = [
    ("more pay", |kind| match kind {
        EventKind::Paid { credits, .. } => {
            credits.0 += 1;
            true
        }
        _ => false,
    }),
    ("less fee", |kind| match kind {
        EventKind::Paid { fee, .. } => {
            fee.0 -= 1;
            true
        }
        _ => false,
    }),
    ("more gas", |kind| match kind {
        EventKind::Paid { gas, .. } => {
            *gas += 1;
            true
        }
        _ => false,
    }),
    ("another price", |kind| match kind {
        EventKind::Paid { price, .. } => {
            *price = Price(price.0 + 1);
            true
        }
        _ => false,
    }),
    ("another nonce", |kind| match kind {
        EventKind::Revealed { nonce, .. } => {
            *nonce = Nonce(Digest::of(b"x"));
            true
        }
        _ => false,
    }),
    ("another commitment", |kind| match kind {
        EventKind::Committed { commitment, .. } => {
            *commitment = Digest::of(b"x");
            true
        }
        _ => false,
    }),
    ("another verdict", |kind| match kind {
        EventKind::Verdict { key, .. } => {
            *key = Digest::of(b"x");
            true
        }
        _ => false,
    }),
    ("a liar who is right", |kind| match kind {
        EventKind::Verdict { attempts, .. } => {
            let liar = attempts.iter_mut().find(|judged| !judged.valid);
            liar.map(|judged| judged.valid = true).is_some()
        }
        _ => false,
    }),
    ("a fault of the honest", |kind| match kind {
        EventKind::Fault { expected, found, .. } => {
            *found = *expected;
            true
        }
        _ => false,
    }),
    ("an audit that was not drawn", |kind| match kind {
        EventKind::TaskFinal { audit: Some(draw), .. } => {
            draw.audited = false;
            true
        }
        _ => false,
    }),
    ("another secret", |kind| match kind {
        EventKind::EpochOpened { secret, .. } => {
            *secret = EpochSecret::from_bytes([8; 32]);
            true
        }
        _ => false,
    }),
    ("less refund", |kind| match kind {
        EventKind::JobEnded { refund, .. } => {
            *refund = Credits(refund.0 - 1);
            true
        }
        _ => false,
    }),
];

#[test]
fn an_honest_log_holds() {
    let report = audit(log());
    assert_eq!(report.discrepancies, Vec::<Discrepancy>::new());
    assert!(report.verdicts >= 3 && report.commitments >= 6 && report.payments >= 5 && report.draws >= 2);
}

#[test]
fn every_tampering_shows() {
    let honest = log();
    for (name, tamper) in TAMPERINGS {
        let mut log = honest.clone();
        assert!(log.iter_mut().any(|event| tamper(&mut event.kind)), "{name}: nothing to tamper with");
        assert_ne!(audit(log).discrepancies, [], "{name}");
    }
    // Leaving out what an event rests on shows, too.
    for (name, is) in [
        ("no replay", (|kind| matches!(kind, EventKind::Replayed { .. })) as fn(&EventKind) -> bool),
        ("no verdict", |kind| matches!(kind, EventKind::Verdict { .. })),
        ("no commitment", |kind| matches!(kind, EventKind::Committed { .. })),
        ("no payment", |kind| matches!(kind, EventKind::Paid { .. })),
        ("no fault", |kind| matches!(kind, EventKind::Fault { .. })),
        ("no task is final", |kind| matches!(kind, EventKind::TaskFinal { .. })),
        ("no epoch is opened", |kind| matches!(kind, EventKind::EpochOpened { .. })),
        ("no enrolment", |kind| matches!(kind, EventKind::ProviderEnrolled { .. })),
    ] {
        let log = honest.iter().filter(|event| !is(&event.kind)).cloned();
        assert_ne!(audit(log).discrepancies, [], "{name}");
    }
    let mut log = honest;
    log.last_mut().expect("it is long").at = Timestamp(0);
    assert_ne!(audit(log).discrepancies, [], "time goes back");
}

/// A kind of event, and whether one is of it.
type About = (&'static str, fn(&EventKind) -> bool);

/// Takes an attempt out of its task's verdicts, as if it had never been judged.
fn unjudge(events: &mut [Event], id: AttemptId) {
    for event in events {
        if let EventKind::Verdict { attempts, .. } = &mut event.kind {
            attempts.retain(|judged| judged.attempt != id);
        }
    }
}

/// A coordinator that leaves something out and signs the rest anew changes what it belongs to, so that it fits.
#[test]
fn what_is_left_out_or_said_twice_shows_however_well_the_rest_fits() {
    let honest = log();
    let found = |events: &[Event]| !audit(events.to_vec()).discrepancies.is_empty();
    assert!(!found(&honest));

    let paid = honest.iter().find_map(|event| match &event.kind {
        EventKind::Paid { attempt, credits, .. } => Some((*attempt, *credits)),
        _ => None,
    });
    let (unpaid, saved) = paid.expect("somebody is paid");
    let mut without = honest.clone();
    without.retain(|event| !matches!(&event.kind, EventKind::Paid { attempt, .. } if *attempt == unpaid));
    unjudge(&mut without, unpaid);
    for event in &mut without {
        if let EventKind::JobEnded { refund, .. } = &mut event.kind {
            refund.0 += saved.0;
        }
    }
    assert!(found(&without), "a payment");

    let fault = honest.iter().find_map(|event| match &event.kind {
        EventKind::Fault { attempt, .. } => Some(*attempt),
        _ => None,
    });
    let liar = fault.expect("a lie is caught");
    let about = |event: &Event| match &event.kind {
        EventKind::Fault { attempt, .. } | EventKind::Finding { attempt, .. } => *attempt == liar,
        _ => false,
    };
    let mut without: Vec<Event> = honest.iter().filter(|event| !about(event)).cloned().collect();
    unjudge(&mut without, liar);
    assert!(found(&without), "a fault");

    let drops: [About; 2] = [
        ("a job's end", |kind| matches!(kind, EventKind::JobEnded { .. })),
        ("a finding", |kind| matches!(kind, EventKind::Finding { .. })),
    ];
    for (what, is_dropped) in drops {
        let without: Vec<Event> = honest.iter().filter(|event| !is_dropped(&event.kind)).cloned().collect();
        assert!(without.len() < honest.len() && found(&without), "{what}");
    }

    let twice: [About; 5] = [
        ("a job", |kind| matches!(kind, EventKind::JobSubmitted { .. })),
        ("a task", |kind| matches!(kind, EventKind::TaskOpened { .. })),
        ("a receipt", |kind| matches!(kind, EventKind::Revealed { .. })),
        ("a verdict", |kind| matches!(kind, EventKind::Verdict { attempts, .. } if !attempts.is_empty())),
        ("a fault", |kind| matches!(kind, EventKind::Fault { .. })),
    ];
    for (what, is_repeated) in twice {
        for place in 0..honest.len() {
            if is_repeated(&honest[place].kind) {
                let mut events = honest.clone();
                events.insert(place, honest[place].clone());
                assert!(found(&events), "{what}, twice, at {place}");
            }
        }
    }

    let mut more = honest.clone();
    for event in &mut more {
        if let EventKind::Fault { suspended, .. } = &mut event.kind {
            suspended.0 += 1_000_000_000;
        }
    }
    assert!(found(&more), "a fault takes what nobody earned");
}

#[test]
fn a_private_job_is_not_in_the_log() {
    let mut desk = Desk::new(strict(), 2);
    let job = desk.submit(spec(PlanSpec::Single, Redundancy::Fixed(2)));
    let leases = desk.finish(&[0, 1]);
    desk.replay(None);
    let json = serde_json::to_string(&desk.events).expect("events are JSON");
    let said = honest(&leases[0], None).0;
    let secrets = [
        job.to_string(),
        leases[0].task_id.to_string(),
        leases[0].salt.to_string(),
        said.state_blob().expect("it completes").digest.to_string(),
        said.key(Digest::of(b"public")).to_string(),
    ];
    for secret in secrets {
        assert!(!json.contains(&secret), "{secret}");
    }
    let read: Vec<Event> = serde_json::from_str(&json).expect("events read back");
    assert_eq!(read, desk.events);
}

#[test]
fn codes_are_what_is_serialised() {
    let all = [
        Rejection::UnknownProvider,
        Rejection::UnknownDevice { device: 1 },
        Rejection::UnknownJob,
        Rejection::UnknownAttempt,
        Rejection::UnknownReplay,
        Rejection::JobExists,
        Rejection::JobState { state: String::new(), advice: String::new() },
        Rejection::TooMany { what: String::new(), found: 2, limit: 1 },
        Rejection::BadSpec { what: String::new(), advice: String::new() },
        Rejection::InsufficientFunds { needed: Credits(2), available: Credits(1) },
        Rejection::PriceCapTooLow { cap: Price(1), lowest: Price(2) },
        Rejection::NotSelftested,
        Rejection::ProviderPaused { reason: String::new() },
        Rejection::Backoff { wait: anneal_job::Span(1) },
        Rejection::CommitmentChanged { committed: Digest::of(b"") },
        Rejection::LeaseEnded,
        Rejection::RevealTooEarly,
        Rejection::CommitmentMismatch { committed: Digest::of(b""), found: Digest::of(b"") },
        Rejection::NoTraceAsked,
        Rejection::NoEpoch,
        Rejection::AccountNotSettable,
        Rejection::AmountOverflow,
    ];
    for rejection in all {
        let json = serde_json::to_value(&rejection).expect("JSON");
        assert_eq!(json["code"], rejection.code());
        assert_eq!(serde_json::from_value::<Rejection>(json).expect("reads back"), rejection);
    }
}

#[test]
fn a_secret_is_not_shown() {
    let secret = EpochSecret::from_bytes([0xab; 32]);
    assert!(!format!("{secret:?}").contains("ab"));
}

#[test]
fn draws_come_out_as_often_as_they_should() {
    let secret = EpochSecret::from_bytes([3; 32]);
    let tag = |number: u32| anneal_market::TaskTag(Digest::of(&number.to_le_bytes()));
    for millionths in [0, 20_000, 500_000, 1_000_000] {
        let hits =
            (0..20_000).filter(|n| secret.draw(anneal_market::Draw::Audit, tag(*n), millionths)).count();
        let expected = f64::from(millionths) * 0.02;
        assert!((hits as f64 - expected).abs() <= 5.0 * expected.sqrt().min(71.0), "{hits} for {millionths}");
    }
}

proptest! {
    #[test]
    fn keys_read_back(text in "[a-z]{1,9}(/[0-9a-f]{64}){0,2}(/[0-9]{1,9}){0,2}") {
        if let Ok(key) = text.parse::<Key>() {
            prop_assert_eq!(key.to_string(), text);
        }
    }

    #[test]
    fn every_key_has_a_text(index in any::<u32>(), generation in any::<u32>()) {
        let mut desk = Desk::new(strict(), 1);
        let job = desk.submit(spec(PlanSpec::Single, Redundancy::Fixed(2)));
        desk.lease(0);
        let task = anneal_market::TaskKey { job, index, generation };
        for key in desk.market.keys().into_iter().chain([Key::Task(task)]) {
            prop_assert_eq!(key.to_string().parse(), Ok(key));
        }
    }

    #[test]
    fn magnitudes_grow(gas in 1u64..u64::MAX / 4) {
        prop_assert_eq!(view::magnitude(gas * 4), view::magnitude(gas) + 1);
    }
}
