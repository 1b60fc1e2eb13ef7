//! What a provider offers is taken whole or not at all; names of classes cost nothing and crowd nobody out; and what a
//! receipt only names is not remembered as if it had been sent.

use std::collections::BTreeMap;

use anneal_job::{PlanSpec, Redundancy};
use anneal_market::{
    Command, DeviceClass, DeviceId, DeviceOffer, EventKind, OperatorMarks, Rejection, Reply,
};

use crate::desk::{DEVELOPER, Desk, honest, offer, provider, quiet, spec};

const TWO: Redundancy = Redundancy::Fixed(2);

fn offers(count: u32, class: impl Fn(u32) -> String) -> BTreeMap<DeviceId, DeviceOffer> {
    let of_class = |name: String| DeviceOffer { class: DeviceClass::new(&name).expect("a class"), ..offer() };
    (0..count).map(|device| (DeviceId(device), of_class(class(device)))).collect()
}

fn enrol(desk: &mut Desk, number: u8, devices: BTreeMap<DeviceId, DeviceOffer>) -> Result<Reply, Rejection> {
    let marks = OperatorMarks { payout: None, network: None };
    desk.apply(Command::EnrolWith { provider: provider(number), marks, devices })
}

#[test]
fn a_refused_offer_changes_nothing() {
    let mut desk = Desk::new(quiet(), 1);
    let mut untested = offers(3, |_| "gpu".to_owned());
    untested.entry(DeviceId(2)).and_modify(|offer| offer.selftest = None);
    let mut wordy = offers(3, |_| "gpu".to_owned());
    wordy
        .entry(DeviceId(2))
        .and_modify(|offer| offer.features = [String::from_utf8(vec![b'x'; 65]).expect("text")].into());
    for number in [0, 9] {
        for refused in [
            offers(17, |_| "gpu".to_owned()),
            untested.clone(),
            wordy.clone(),
            offers(9, |device| format!("x{device}")),
        ] {
            let before = desk.market.clone();
            enrol(&mut desk, number, refused).expect_err("too much");
            assert!(desk.market == before, "nothing has changed");
        }
    }
    enrol(&mut desk, 9, offers(16, |_| "gpu".to_owned())).expect("sixteen");
    let events = desk.events.len();
    enrol(&mut desk, 9, offers(16, |_| "gpu".to_owned())).expect("the same");
    assert_eq!(desk.events.len(), events, "what is said again is no news");
    enrol(&mut desk, 9, offers(2, |_| "gpu".to_owned())).expect("fewer");
    assert_eq!(desk.market.provider(&provider(9)).expect("enrolled").devices.len(), 2);
    desk.check_log();
}

#[test]
fn invented_classes_go_before_those_that_somebody_works_with() {
    let mut desk = Desk::new(quiet(), 2);
    desk.submit(spec(PlanSpec::Single, TWO));
    desk.finish(&[0, 1]);
    enrol(&mut desk, 3, offers(1, |_| "rare".to_owned())).expect("a class of its own");
    for number in 10..150_u8 {
        enrol(&mut desk, number, offers(8, |device| format!("x{}", u32::from(number) * 8 + device)))
            .expect("names cost nothing");
    }
    enrol(&mut desk, 4, offers(1, |_| "cpu".to_owned())).expect("there is always room for it");
    enrol(&mut desk, 5, offers(1, |_| "new".to_owned())).expect("there is room for one more");
    let classes: Vec<String> = desk.market.classes().map(|class| class.name.to_string()).collect();
    assert!(classes.len() <= 1_025, "{}", classes.len());
    for kept in ["gpu", "rare", "cpu", "new"] {
        assert!(classes.iter().any(|class| class == kept), "{kept} went");
    }
    assert!(desk.count(|event| matches!(event, EventKind::ClassForgotten { .. })) >= 90);
    // Who offers a class that was forgotten still gets leases, at a new class's price.
    let gone = (10..150_u8).find(|number| {
        let known = &desk.market.provider(&provider(*number)).expect("enrolled").devices[&DeviceId(0)];
        !classes.contains(&known.offer.class.to_string())
    });
    let class = &desk.market.provider(&provider(gone.expect("some went"))).expect("enrolled").devices;
    let price = desk.market.price_of(&class[&DeviceId(0)].offer.class);
    assert_eq!(price, desk.market.parameters().price_initial);
    desk.check_log();
}

/// Two receipts that agree only name a state. Of a job that is wound up before anybody sent it nothing is remembered:
/// another job would start from bytes that nobody of it ever had.
#[test]
fn what_was_never_sent_is_not_remembered() {
    let mut desk = Desk::new(quiet(), 2);
    let job = desk.submit(spec(PlanSpec::Train { segments: 2, workers: 1 }, TWO));
    let leases = [desk.lease(0), desk.lease(1)];
    for (number, lease) in (0..).zip(&leases) {
        desk.commit(number, lease, &honest(lease, None));
    }
    for (number, lease) in (0..).zip(&leases) {
        desk.reveal(number, lease, &honest(lease, None)).expect("a receipt that was asked for");
    }
    desk.ok(Command::Cancel { developer: DEVELOPER, job });
    assert!(desk.market.job(&job).is_none(), "it has ended");
    desk.submit(spec(PlanSpec::Train { segments: 2, workers: 1 }, TWO));
    assert_eq!(desk.count(|event| matches!(event, EventKind::CacheHit { .. })), 0);
    let again = desk.lease(0);
    assert_eq!(again.task_id, leases[0].task_id);
    let state = honest(&again, None).0.state_blob().expect("it completes").digest;
    assert!(desk.market.lending_jobs(&provider(0), &state).is_empty());
    desk.check_log();
}
