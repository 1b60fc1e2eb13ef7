//! What a key must show before it is believed, rule by rule: under the defaults, and with nobody vouched for unless
//! a test says so.

use std::collections::BTreeSet;

use anneal_job::{Credits, Digest, FaultCode, HostFault, Identity, PlanSpec, Redundancy};
use anneal_market::{
    Account, Command, Effect, EventKind, Evidence, JobSpec, Lease, NothingHint, OperatorMarks, Parameters,
    Rejection, ReplayOutcome, view::Standing,
};

use crate::{
    desk::{Desk, Said, honest, provider, quiet, spec},
    simulation::truth,
};

const TWO: Redundancy = Redundancy::Fixed(2);

fn standing(desk: &Desk, number: u8) -> Standing {
    desk.market.provider(&provider(number)).expect("it is enrolled").standing
}

/// Both commit and reveal what they say; the state is there where they agree.
fn say(desk: &mut Desk, all: &[(u8, &Lease, &Said)]) {
    for (number, lease, said) in all {
        desk.commit(*number, lease, said);
    }
    for (number, lease, said) in all {
        desk.reveal(*number, lease, said).expect("it is asked for");
    }
}

/// A market in which 0 to 2 are anchors, and the others have shadowed one task rightly.
fn with_known(rules: Parameters, known: &[u8]) -> Desk {
    let mut desk = Desk::new(rules, 3);
    for number in known {
        desk.join(*number, None);
    }
    desk.submit(JobSpec { seed: 999, ..spec(PlanSpec::Single, TWO) });
    let shadows: Vec<Lease> = known.iter().map(|number| desk.lease(*number)).collect();
    let anchors = [desk.lease(0), desk.lease(1)];
    let said = honest(&anchors[0], None);
    for (number, lease) in known.iter().zip(&shadows) {
        assert!(lease.shadow, "the first attempt of a key is a shadow");
        desk.commit(*number, lease, &said);
    }
    say(&mut desk, &[(0, &anchors[0], &said), (1, &anchors[1], &said)]);
    desk.store(&anchors[0], &said);
    for (number, lease) in known.iter().zip(&shadows) {
        desk.reveal(*number, lease, &said).expect("a shadow is asked, too");
        assert_eq!(standing(&desk, *number), Standing::Known);
    }
    desk
}

#[test]
fn a_new_key_shadows_first_and_is_paid_from_its_second_task() {
    let mut desk = with_known(quiet(), &[5]);
    assert_eq!(desk.paid().len(), 2, "a shadow is not paid");
    assert_eq!(desk.market.provider(&provider(5)).expect("enrolled").held, Credits::ZERO);
    desk.submit(spec(PlanSpec::Single, TWO));
    let (own, anchor) = (desk.lease(5), desk.lease(0));
    assert!(!own.shadow);
    let said = honest(&own, None);
    say(&mut desk, &[(5, &own, &said), (0, &anchor, &said)]);
    assert!(desk.paid().contains(&own.attempt));
    desk.check_log();
}

#[test]
fn a_lying_shadow_bars_its_key_and_costs_nobody_anything() {
    for lie in [Some(4), None] {
        let mut desk = Desk::new(quiet(), 2);
        desk.join(5, None);
        desk.submit(spec(PlanSpec::Single, TWO));
        let (shadow, first, second) = (desk.lease(5), desk.lease(0), desk.lease(1));
        let said = honest(&first, None);
        // A lie, or the right result with another run's trace: copied.
        let other =
            lie.map_or(Said(said.0.clone(), Digest::of(b"a guess")), |lie| honest(&shadow, Some(lie)));
        desk.commit(5, &shadow, &other);
        say(&mut desk, &[(0, &first, &said), (1, &second, &said)]);
        desk.reveal(5, &shadow, &other).expect("asked");
        assert_eq!(standing(&desk, 5), Standing::Barred);
        assert!(desk.orders.is_empty(), "no replay for a shadow");
        desk.submit(JobSpec { seed: 8, ..spec(PlanSpec::Single, TWO) });
        assert_eq!(desk.ask(5), Err(NothingHint::Barred));
        desk.check_log();
    }
}

#[test]
fn nobody_waits_for_a_shadow() {
    let mut desk = Desk::new(quiet(), 2);
    desk.join(5, None);
    let job = desk.submit(spec(PlanSpec::Single, TWO));
    let (shadow, first, second) = (desk.lease(5), desk.lease(0), desk.lease(1));
    let said = honest(&first, None);
    say(&mut desk, &[(0, &first, &said), (1, &second, &said)]);
    desk.store(&first, &said);
    assert_eq!(desk.market.job(&job).expect("its shadow is open").done, 1, "successors could start");
    desk.commit(5, &shadow, &said);
    desk.reveal(5, &shadow, &said).expect("asked at once");
    assert_eq!(standing(&desk, 5), Standing::Known);
    assert!(desk.market.job(&job).is_none());
}

#[test]
fn a_task_has_one_shadow_of_a_prefix() {
    let mut desk = Desk::new(quiet(), 2);
    let network = Some(Digest::of(b"one prefix"));
    for number in [5, 6] {
        desk.join(number, None);
        let marks = OperatorMarks { payout: None, network };
        desk.ok(Command::Enrol { provider: provider(number), marks });
    }
    desk.submit(spec(PlanSpec::Single, TWO));
    assert!(desk.lease(5).shadow);
    assert_eq!(desk.ask(6), Err(NothingHint::NoShadow));
}

#[test]
fn a_shadow_that_was_given_back_leaves_room_for_another() {
    let mut desk = Desk::new(quiet(), 0);
    desk.join(5, None);
    desk.submit(spec(PlanSpec::Single, TWO));
    let shadow = desk.lease(5);
    let (provider, attempt) = (provider(5), shadow.attempt);
    let reason = anneal_market::GiveBackReason::Policy;
    desk.ok(Command::GiveBack { provider, attempt, reason });
    desk.wait(11);
    assert!(desk.lease(5).shadow, "its owner has let it go on");
}

#[test]
fn two_that_are_no_anchors_are_never_alone() {
    let mut desk = with_known(quiet(), &[5, 6]);
    desk.submit(spec(PlanSpec::Single, TWO));
    let first = desk.lease(5);
    assert_eq!(desk.ask(6), Err(NothingHint::NoneFits), "the last lease is an anchor's");
    let lie = honest(&first, Some(3));
    desk.commit(5, &first, &lie);
    // However long it takes: an anchor comes, or a trusted worker takes its place.
    desk.heartbeat(0, &[]);
    for _ in 0..7 {
        desk.wait(10);
        desk.heartbeat(0, &[]);
        desk.heartbeat(5, &[]);
        assert!(desk.ask(6).is_err());
    }
    desk.reveal(5, &first, &lie).expect("a trusted worker has taken the anchor's place");
    assert!(desk.faults().is_empty());
    desk.replay(None);
    desk.replay(None);
    assert_eq!(desk.faults(), [first.attempt]);
    assert!(!desk.paid().contains(&first.attempt));
    desk.check_log();
}

#[test]
fn a_new_network_begins_with_a_trusted_worker() {
    let mut desk = Desk::new(quiet(), 0);
    desk.join(5, None);
    desk.join(6, None);
    desk.submit(spec(PlanSpec::Train { segments: 2, workers: 1 }, TWO));
    // Nobody is known, so both shadow; the trusted worker's word is the result.
    let (first, second) = (desk.lease(5), desk.lease(6));
    assert!(first.shadow && second.shadow);
    let (said, lie) = (honest(&first, None), honest(&first, Some(1)));
    desk.commit(5, &first, &said);
    desk.commit(6, &second, &lie);
    desk.reveal(5, &first, &said).expect("asked");
    assert_eq!(desk.orders.len(), 0, "both may still be heard");
    desk.reveal(6, &second, &lie).expect("asked");
    desk.replay(None);
    assert_eq!((standing(&desk, 5), standing(&desk, 6)), (Standing::Known, Standing::Barred));
    // Whoever is known works beside the trusted worker, and is paid.
    let next = desk.lease(5);
    assert!(!next.shadow);
    let said = honest(&next, None);
    desk.commit(5, &next, &said);
    desk.reveal(5, &next, &said).expect("asked at once: there is no anchor to wait for");
    desk.replay(None);
    assert_eq!(desk.paid(), [next.attempt]);
    desk.check_log();
}

#[test]
fn cover_makes_an_anchor_and_only_of_work_that_counts() {
    // (whose money, on whose list, with whose feature) and whether what is earned then counts.
    let cases = [("funded", "", "", true), ("granted", "", "", false), ("funded", "listed", "", false)];
    for (money, list, _, counts) in cases {
        let mut desk = with_known(quiet(), &[5]);
        let developer = Identity::from_bytes([77; 32]);
        let credits = Credits(1 << 40);
        desk.ok(match money {
            "funded" => Command::SetFunds { account: Account::Available { owner: developer }, credits },
            _ => Command::Grant { owner: developer, credits },
        });
        let mut job = spec(PlanSpec::Single, TWO);
        if list == "listed" {
            job.allow = BTreeSet::from([provider(5), provider(0)]);
        }
        desk.ok(Command::Submit { developer, nonce: 1, spec: Box::new(job) });
        let (own, anchor) = (desk.lease(5), desk.lease(0));
        let said = honest(&own, None);
        say(&mut desk, &[(5, &own, &said), (0, &anchor, &said)]);
        desk.store(&own, &said);
        let known = desk.market.provider(&provider(5)).expect("enrolled");
        let operator = desk.market.operator(&known.operator).expect("it has one");
        assert!(known.held > Credits::ZERO, "{money} {list}: it is paid in any case");
        assert_eq!(operator.cover() > Credits::ZERO, counts, "{money} {list}");
    }
}

#[test]
fn a_fault_falls_on_its_key_alone() {
    let mut desk = with_known(quiet(), &[5, 6]);
    // 6 says that it has 5's address, and lies.
    let marks =
        OperatorMarks { payout: Some(Digest::of(b"5's address")), network: Some(Digest::of(b"a NAT")) };
    desk.ok(Command::Enrol { provider: provider(5), marks });
    desk.ok(Command::Enrol { provider: provider(6), marks });
    desk.submit(spec(PlanSpec::Single, TWO));
    let (own, anchor) = (desk.lease(5), desk.lease(0));
    let said = honest(&own, None);
    say(&mut desk, &[(5, &own, &said), (0, &anchor, &said)]);
    desk.store(&own, &said);
    let held = desk.market.provider(&provider(5)).expect("enrolled").held;
    desk.submit(JobSpec { seed: 8, ..spec(PlanSpec::Single, TWO) });
    let (own, anchor) = (desk.lease(6), desk.lease(0));
    let (said, lie) = (honest(&anchor, None), honest(&own, Some(2)));
    say(&mut desk, &[(6, &own, &lie), (0, &anchor, &said)]);
    desk.replay(None);
    assert_eq!(desk.faults(), [own.attempt]);
    let victim = desk.market.provider(&provider(5)).expect("enrolled");
    assert_eq!((victim.held, victim.pause), (held, None));
    assert!(desk.market.provider(&provider(6)).expect("enrolled").pause.is_some());
    desk.check_log();
}

/// 5 has earned something and is at fault for what another backend is then asked about.
fn at_fault(lie: Option<u64>, replay: Option<u64>) -> (Desk, Lease, u64) {
    let mut desk = with_known(Parameters { appeal_matched: 1, ..quiet() }, &[5]);
    desk.submit(spec(PlanSpec::Single, TWO));
    let (own, anchor) = (desk.lease(5), desk.lease(0));
    let said = honest(&own, None);
    say(&mut desk, &[(5, &own, &said), (0, &anchor, &said)]);
    desk.store(&own, &said);
    let held = desk.market.provider(&provider(5)).expect("enrolled").held.0;
    desk.submit(JobSpec { seed: 8, ..spec(PlanSpec::Single, TWO) });
    let (own, anchor) = (desk.lease(5), desk.lease(0));
    let (said, claim) = (honest(&anchor, replay), honest(&own, lie));
    say(&mut desk, &[(5, &own, &claim), (0, &anchor, &said)]);
    desk.replay(replay);
    assert_eq!(desk.faults(), [own.attempt]);
    let known = desk.market.provider(&provider(5)).expect("enrolled");
    assert_eq!((known.held.0, known.cases[&own.attempt].credits.0), (0, held), "suspended");
    (desk, own, held)
}

fn answer_appeal(desk: &mut Desk, lie: Option<u64>) {
    let place = desk.orders.iter().position(|order| order.other_backend).expect("it is replayed once more");
    let order = desk.orders.remove(place);
    let run = truth::run(&order.task, lie);
    let outcome =
        ReplayOutcome::Done { outcome: run.outcome, trace_root: run.trace_root, trace: Default::default() };
    desk.ok(Command::ReplayAnswer { replay: order.replay, outcome: Box::new(outcome) });
}

#[test]
fn a_forfeit_is_final_after_a_week_and_not_before() {
    let (mut desk, own, held) = at_fault(Some(2), None);
    let states = desk.market.provider(&provider(5)).expect("enrolled").cases[&own.attempt].until;
    for blob in desk.market.blobs() {
        assert!(desk.market.needs(&blob));
    }
    assert!(
        !desk.market.lending_jobs(&provider(5), &own.component.digest).is_empty(),
        "it can be repeated at home"
    );
    desk.now = states.0 - 1;
    desk.ok(Command::Tick);
    assert_eq!(desk.count(|event| matches!(event, EventKind::ForfeitFinal { .. })), 0);
    desk.now = states.0;
    desk.ok(Command::Tick);
    let finals =
        |event: &EventKind| matches!(event, EventKind::ForfeitFinal { credits, .. } if credits.0 == held);
    assert_eq!(desk.count(finals), 1);
    desk.check_log();
}

#[test]
fn an_appeal_is_decided_on_another_backend() {
    for wronged in [true, false] {
        // Either the first replay was wrong, or the attempt was.
        let (mut desk, own, held) = if wronged { at_fault(None, Some(2)) } else { at_fault(Some(2), None) };
        let appeal = Command::Appeal { provider: provider(5), attempt: own.attempt };
        desk.ok(appeal.clone());
        desk.ok(appeal.clone());
        answer_appeal(&mut desk, None);
        let known = desk.market.provider(&provider(5)).expect("enrolled");
        let kept = if wronged { held } else { 0 };
        assert_eq!((known.held.0, known.cases.len()), (kept, 0));
        assert_eq!(known.pause.is_none(), wronged);
        assert_eq!(known.standing, if wronged { Standing::Known } else { Standing::New });
        let stood = |event: &EventKind| matches!(event, EventKind::AppealDecided { stands, .. } if *stands != wronged);
        assert_eq!(desk.count(stood), 1);
        assert_eq!(desk.apply(appeal), Err(Rejection::UnknownAttempt));
        desk.check_log();
    }
}

#[test]
fn an_appeal_takes_work_that_matched() {
    let (mut desk, own, _) = at_fault(Some(2), None);
    answer_appeal_undecided(&mut desk, &own);
    let known = desk.market.provider(&provider(5)).expect("enrolled");
    assert_eq!(known.cases.len(), 1, "what nobody could decide is not forfeited");
    assert_eq!(known.appeals, 0);
    let (mut desk, own, _) = {
        let mut desk = with_known(quiet(), &[5]);
        desk.submit(spec(PlanSpec::Single, TWO));
        let (own, anchor) = (desk.lease(5), desk.lease(0));
        let (said, lie) = (honest(&anchor, None), honest(&own, Some(2)));
        say(&mut desk, &[(5, &own, &lie), (0, &anchor, &said)]);
        desk.replay(None);
        (desk, own, 0)
    };
    let appeal = Command::Appeal { provider: provider(5), attempt: own.attempt };
    assert_eq!(desk.apply(appeal), Err(Rejection::AppealTooEarly { matched: 0, needed: 10 }));
}

fn answer_appeal_undecided(desk: &mut Desk, own: &Lease) {
    desk.ok(Command::Appeal { provider: provider(5), attempt: own.attempt });
    let place = desk.orders.iter().position(|order| order.other_backend).expect("ordered");
    let order = desk.orders.remove(place);
    let outcome = Box::new(ReplayOutcome::Failed { message: "killed".to_owned() });
    desk.ok(Command::ReplayAnswer { replay: order.replay, outcome });
}

#[test]
fn two_strangers_machines_stop_nobodys_job() {
    let mut desk = with_known(quiet(), &[5, 6]);
    let job = desk.submit(spec(PlanSpec::Single, TWO));
    for number in [5, 6] {
        if let Ok(lease) = desk.ask(number) {
            let fault =
                HostFault { code: FaultCode::DeviceLost, message: "\u{1b}[31mgone\u{202e}".to_owned() };
            desk.ok(Command::HostFault { provider: provider(number), attempt: lease.attempt, fault });
        }
    }
    assert_eq!(desk.count(|event| matches!(event, EventKind::JobPaused { .. })), 0);
    // Two anchors' machines do, and what they say is shown escaped.
    for number in [0, 1] {
        let lease = desk.lease(number);
        let fault = HostFault { code: FaultCode::DeviceLost, message: "\u{1b}[31mgone\u{202e}".to_owned() };
        desk.ok(Command::HostFault { provider: provider(number), attempt: lease.attempt, fault });
    }
    let told = desk.effects.iter().find_map(|effect| match effect {
        Effect::TellDeveloper { job: of, message } if *of == job => Some(message.clone()),
        _ => None,
    });
    let told = told.expect("its developer is told");
    assert!(told.chars().all(|letter| !letter.is_control() && letter != '\u{202e}'), "{told:?}");
}

#[test]
fn a_stumbling_stranger_costs_a_task_one_lease() {
    let mut desk = with_known(quiet(), &[5, 6]);
    desk.submit(spec(PlanSpec::Single, TWO));
    let lease = desk.lease(5);
    desk.ok(Command::GiveBack {
        provider: provider(5),
        attempt: lease.attempt,
        reason: anneal_market::GiveBackReason::Policy,
    });
    assert_eq!(desk.ask(6), Err(NothingHint::NoneFits), "anchors do the rest");
    desk.finish(&[0, 1]);
}

#[test]
fn prefixes_are_served_in_turn() {
    let mut desk = with_known(quiet(), &[5, 6, 7, 8]);
    for (number, prefix) in [(5, b"attackers"), (6, b"attackers"), (7, b"stranger "), (8, b"attackers")] {
        let marks = OperatorMarks { payout: None, network: Some(Digest::of(prefix)) };
        desk.ok(Command::Enrol { provider: provider(number), marks });
    }
    desk.submit(spec(PlanSpec::Single, TWO));
    desk.lease(5);
    assert!(desk.ask(7).is_err(), "it waits");
    desk.submit(JobSpec { seed: 8, ..spec(PlanSpec::Single, TWO) });
    assert_eq!(desk.ask(6), Err(NothingHint::NotYourTurn));
    desk.wait(1);
    desk.lease(7);
    // Who waits, is called because its turn is there, and does not come, holds nobody up.
    let marks = OperatorMarks { payout: None, network: Some(Digest::of(b"absentees")) };
    desk.ok(Command::Enrol { provider: provider(8), marks });
    assert!(desk.ask(8).is_err(), "it waits");
    desk.submit(JobSpec { seed: 9, ..spec(PlanSpec::Single, TWO) });
    assert_eq!(desk.ask(6), Err(NothingHint::NotYourTurn));
    desk.wait(3);
    desk.lease(6);
}

#[test]
fn nothing_is_released_while_an_audit_of_its_key_waits() {
    let rules = Parameters { audit_floor_millionths: 1_000_000, ..Parameters::default() };
    let mut desk = Desk::new(rules, 2);
    desk.submit(spec(PlanSpec::Single, TWO));
    desk.finish(&[0, 1]);
    desk.replay(None);
    desk.submit(JobSpec { seed: 8, ..spec(PlanSpec::Single, TWO) });
    desk.finish(&[0, 1]);
    let payable = |desk: &Desk| desk.market.provider(&provider(0)).expect("enrolled").payable;
    for _ in 0..30 {
        desk.wait(3600);
    }
    assert_eq!(payable(&desk), Credits::ZERO, "the second task's audit waits for its worker");
    desk.replay(None);
    for _ in 0..2 {
        desk.wait(3600);
    }
    assert!(payable(&desk) > Credits::ZERO, "the first task's pay");
}

#[test]
fn while_trusted_workers_are_busy_anchors_decide() {
    let mut desk = with_known(Parameters { replays_room: 0, ..quiet() }, &[5]);
    desk.submit(spec(PlanSpec::Single, TWO));
    let (own, anchor) = (desk.lease(5), desk.lease(0));
    let (said, lie) = (honest(&anchor, None), honest(&own, Some(2)));
    say(&mut desk, &[(5, &own, &lie), (0, &anchor, &said)]);
    assert!(desk.orders.is_empty(), "no replay");
    let second = desk.lease(1);
    say(&mut desk, &[(1, &second, &said)]);
    let decided = |event: &EventKind| {
        matches!(event, EventKind::Verdict { evidence: Evidence::Anchors { agreeing: 2 }, .. })
    };
    assert_eq!(desk.count(decided), 1);
    assert!(desk.faults().is_empty(), "only a replay makes anybody faulty");
    assert!(!desk.paid().contains(&own.attempt));
    assert_eq!(standing(&desk, 5), Standing::New, "it begins anew");
    desk.check_log();
}

#[test]
fn a_bond_makes_an_anchor_at_once() {
    let mut desk = Desk::new(quiet(), 1);
    desk.join(5, None);
    desk.submit(spec(PlanSpec::Single, TWO));
    assert!(desk.lease(5).shadow);
    desk.join(6, None);
    let operator = desk.market.provider(&provider(6)).expect("enrolled").operator;
    desk.ok(Command::SetFunds { account: Account::Stake { operator }, credits: Credits(40 * 100_000) });
    assert!(!desk.lease(6).shadow);
}
