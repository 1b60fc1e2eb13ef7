//! The rules from commitment to verdict, one by one.

use anneal_job::{Digest, FailureCode, GuestFailure, PlanSpec, ReceiptOutcome, Redundancy};
use anneal_market::{
    Command, Demand, EndKind, EventKind, Evidence, Finding, Rejection, TraceLevel, view::Phase,
};

use crate::{
    desk::{DEVELOPER, Desk, Said, commitment, honest, nonce, provider, quiet, receipt, spec, strict},
    simulation::truth,
};

const TWO: Redundancy = Redundancy::Fixed(2);

fn train(segments: u32) -> PlanSpec {
    PlanSpec::Train { segments, workers: 1 }
}

#[test]
fn nothing_is_revealed_while_another_may_still_commit() {
    let mut desk = Desk::new(quiet(), 2);
    desk.submit(spec(PlanSpec::Single, TWO));
    let (first, second) = (desk.lease(0), desk.lease(1));
    let said = honest(&first, None);
    desk.commit(0, &first, &said);
    assert_eq!(desk.reveal(0, &first, &said), Err(Rejection::RevealTooEarly));
    assert!(desk.heartbeat(0, &[]).is_empty(), "nothing is asked for yet");
    desk.commit(1, &second, &said);
    let demands = desk.heartbeat(0, &[]);
    assert!(matches!(demands[..], [Demand::Reveal { attempt, .. }] if attempt == first.attempt));
    desk.reveal(0, &first, &said).expect("it is asked for");
    assert_eq!(desk.count(|event| matches!(event, EventKind::Revealed { .. })), 0, "kept until the verdict");
    desk.reveal(1, &second, &said).expect("it is asked for");
    assert_eq!(desk.count(|event| matches!(event, EventKind::Revealed { .. })), 2);
    desk.check_log();
}

#[test]
fn a_commitment_binds() {
    let mut desk = Desk::new(quiet(), 2);
    desk.submit(spec(PlanSpec::Single, TWO));
    let (first, second) = (desk.lease(0), desk.lease(1));
    let (truth, lie) = (honest(&first, None), honest(&first, Some(1)));
    desk.commit(0, &first, &lie);
    desk.commit(0, &first, &lie);
    let committed = commitment(0, &first, &lie);
    let changed = Command::Commit {
        provider: provider(0),
        attempt: first.attempt,
        commitment: commitment(0, &first, &truth),
    };
    assert_eq!(desk.apply(changed), Err(Rejection::CommitmentChanged { committed }));
    desk.commit(1, &second, &truth);
    let mismatch = desk.reveal(0, &first, &truth).expect_err("another receipt");
    assert_eq!(mismatch.code(), "commitment-mismatch");
    let stolen = Command::Reveal {
        provider: provider(1),
        attempt: first.attempt,
        receipt: Box::new(receipt(0, &first, &lie)),
        nonce: nonce(&first),
    };
    assert_eq!(desk.apply(stolen), Err(Rejection::UnknownAttempt));
}

#[test]
fn a_lie_is_traced_to_its_operation() {
    let mut desk = Desk::new(quiet(), 2);
    desk.submit(spec(train(1), TWO));
    let (first, second) = (desk.lease(0), desk.lease(1));
    let (truth, lie) = (honest(&first, None), honest(&first, Some(3)));
    for (number, lease, said) in [(0, &first, &truth), (1, &second, &lie)] {
        desk.commit(number, lease, said);
    }
    desk.reveal(0, &first, &truth).expect("asked");
    desk.reveal(1, &second, &lie).expect("asked");
    assert!(desk.faults().is_empty(), "only a replay makes anybody faulty");
    desk.replay(None);
    assert_eq!(desk.faults(), [second.attempt]);
    assert_eq!(desk.paid(), [first.attempt]);
    let lied = truth::run(&second.task, Some(3));
    for level in [TraceLevel::Commits, TraceLevel::Operations { step: lied.lie_begins().0 }] {
        let demands = desk.heartbeat(1, &[]);
        let attempt = second.attempt;
        let asked = |demand: &Demand| matches!(demand, Demand::Trace { level: of, .. } if *of == level);
        assert!(demands.iter().any(asked), "{level:?} is asked for: {demands:?}");
        let report = lied.trace(level);
        desk.ok(Command::TraceAnswer { provider: provider(1), attempt, level, report });
    }
    desk.replay(None);
    let found = desk.events.iter().find_map(|event| match &event.kind {
        EventKind::Finding { finding: Finding::Operation { step, operation, name, .. }, .. } => {
            Some((*step, *operation, name.clone()))
        }
        _ => None,
    });
    let (step, operation) = lied.lie_begins();
    assert_eq!(found, Some((step, operation, format!("op{operation}"))));
    desk.check_log();
}

#[test]
fn two_sybils_convict_nobody() {
    let mut desk = Desk::new(quiet(), 3);
    desk.submit(spec(PlanSpec::Single, Redundancy::Fixed(3)));
    let leases = [desk.lease(0), desk.lease(1), desk.lease(2)];
    let said = [honest(&leases[0], None), honest(&leases[1], Some(9)), honest(&leases[2], Some(9))];
    for number in 0..3 {
        desk.commit(number as u8, &leases[number], &said[number]);
    }
    for number in 0..3 {
        desk.reveal(number as u8, &leases[number], &said[number]).expect("asked");
    }
    desk.replay(None);
    assert_eq!(desk.faults(), [leases[1].attempt, leases[2].attempt]);
    assert_eq!(desk.paid(), [leases[0].attempt]);
}

#[test]
fn a_replay_that_contradicts_everybody_is_repeated_first() {
    for broken in [false, true] {
        let mut desk = Desk::new(strict(), 2);
        let job = desk.submit(spec(PlanSpec::Single, TWO));
        let leases = desk.finish(&[0, 1]);
        desk.replay(Some(66));
        assert!(desk.faults().is_empty(), "one worker's word against two");
        // The second worker either contradicts the first, or agrees with it.
        desk.replay(if broken { None } else { Some(66) });
        if broken {
            assert!(desk.faults().is_empty());
            desk.replay(None);
            assert!(desk.faults().is_empty() && desk.market.job(&job).is_none());
        } else {
            assert_eq!(desk.faults(), [leases[0].attempt, leases[1].attempt]);
        }
    }
}

#[test]
fn an_overturned_verdict_is_paid_by_the_liars() {
    let mut desk = Desk::new(strict(), 6);
    let job = desk.submit(spec(train(3), TWO));
    desk.finish(&[4, 5]);
    desk.replay(None);
    // Two lie as one about the first segment, and the second one is already built on it.
    let (first, second) = (desk.lease(0), desk.lease(1));
    let lie = honest(&first, Some(5));
    desk.commit(0, &first, &lie);
    desk.commit(1, &second, &lie);
    desk.reveal(0, &first, &lie).expect("asked");
    desk.reveal(1, &second, &lie).expect("asked");
    desk.store(&first, &lie);
    let built_on_it = desk.finish(&[2, 3]);
    let spent = desk.market.job(&job).expect("it runs").spent;
    desk.replay(None);
    desk.replay(None);
    // (The audit of what was built on it is asked for in between, and right.)
    while !desk.orders.is_empty() {
        desk.replay(None);
    }
    assert_eq!(desk.faults(), [first.attempt, second.attempt]);
    assert!(desk.paid().contains(&built_on_it[0].attempt), "honest work on a wrong state is paid");
    let reset = desk.events.iter().find_map(|event| match event.kind {
        EventKind::Overturned { tasks_reset, .. } => Some(tasks_reset),
        _ => None,
    });
    assert_eq!(reset, Some(2), "the second segment ran, the third was open");
    // Run again: not at the developer's expense, and from the true state.
    let again = desk.finish(&[2, 3]);
    assert_eq!(again[0].task.entry, built_on_it[0].task.entry);
    assert_ne!(again[0].task_id, built_on_it[0].task_id);
    let job_now = desk.market.job(&job).expect("it runs");
    assert_eq!(job_now.spent, spent);
    while !desk.orders.is_empty() {
        desk.replay(None);
    }
    desk.check_log();
}

#[test]
fn late_work_is_leased_again_and_paid() {
    let mut desk = Desk::new(quiet(), 3);
    desk.submit(spec(PlanSpec::Single, TWO));
    let (late, second) = (desk.lease(0), desk.lease(1));
    assert!(desk.ask(2).is_err(), "nobody else is wanted yet");
    let said = honest(&late, None);
    for _ in 0..4 {
        desk.wait(40);
        desk.heartbeat(0, &[&late]);
        desk.heartbeat(1, &[&second]);
    }
    desk.commit(1, &second, &said);
    let third = desk.lease(2);
    desk.commit(2, &third, &said);
    assert_eq!(desk.reveal(2, &third, &said), Err(Rejection::RevealTooEarly), "the late one may still come");
    desk.commit(0, &late, &said);
    for (number, lease) in [(0, &late), (1, &second), (2, &third)] {
        desk.reveal(number, lease, &said).expect("asked");
    }
    assert_eq!(desk.paid().len(), 3);
    desk.check_log();
}

#[test]
fn the_silent_are_not_waited_for_and_still_paid() {
    let mut desk = Desk::new(quiet(), 3);
    let job = desk.submit(spec(PlanSpec::Single, TWO));
    let (silent, second) = (desk.lease(0), desk.lease(1));
    let said = honest(&silent, None);
    desk.commit(1, &second, &said);
    desk.wait(100);
    let third = desk.lease(2);
    desk.commit(2, &third, &said);
    desk.reveal(1, &second, &said).expect("asked");
    desk.reveal(2, &third, &said).expect("asked");
    desk.store(&third, &said);
    assert_eq!(desk.paid().len(), 2);
    assert!(desk.market.job(&job).is_some(), "somebody may still come");
    desk.commit(0, &silent, &said);
    desk.reveal(0, &silent, &said).expect("a late receipt is asked for at once");
    assert_eq!(desk.paid().len(), 3);
    assert!(desk.market.job(&job).is_none());
    desk.check_log();
}

#[test]
fn a_late_copy_is_not_paid() {
    let mut desk = Desk::new(strict(), 3);
    desk.submit(spec(PlanSpec::Single, TWO));
    let (silent, second) = (desk.lease(0), desk.lease(1));
    let said = honest(&silent, None);
    desk.commit(1, &second, &said);
    desk.wait(100);
    let third = desk.lease(2);
    desk.commit(2, &third, &said);
    desk.reveal(1, &second, &said).expect("asked");
    desk.reveal(2, &third, &said).expect("asked");
    desk.store(&third, &said);
    // It has learned the result, but not the digests of the commits, which nobody has seen.
    let copied = Said(said.0.clone(), Digest::of(b"a guess"));
    desk.commit(0, &silent, &copied);
    desk.reveal(0, &silent, &copied).expect("asked");
    desk.replay(None);
    assert_eq!(desk.paid().len(), 2);
    assert!(desk.faults().is_empty());
}

#[test]
fn a_silent_uploader_is_replaced() {
    let mut desk = Desk::new(quiet(), 2);
    let job = desk.submit(spec(train(1), TWO));
    let (first, second) = (desk.lease(0), desk.lease(1));
    let said = honest(&first, None);
    for (number, lease) in [(0, &first), (1, &second)] {
        desk.commit(number, lease, &said);
    }
    for (number, lease) in [(0, &first), (1, &second)] {
        desk.reveal(number, lease, &said).expect("asked");
    }
    let upload = |demands: &[Demand]| demands.iter().any(|demand| matches!(demand, Demand::Upload { .. }));
    let mut asked = Vec::new();
    for _ in 0..6 {
        asked.push((upload(&desk.heartbeat(0, &[])), upload(&desk.heartbeat(1, &[]))));
        desk.wait(601);
    }
    let turns = [(true, false), (false, true)].repeat(3);
    assert_eq!(asked, turns, "one after the other, three times");
    let phase = |desk: &Desk| desk.market.tasks(&job).next().map(|task| task.phase);
    assert_eq!(phase(&desk), Some(Phase::Storing));
    desk.replay(None);
    assert_ne!(phase(&desk), Some(Phase::Storing), "a trusted worker made the state again");
}

#[test]
fn a_guests_failure_ends_the_job_and_is_paid() {
    let mut desk = Desk::new(quiet(), 2);
    let job = desk.submit(spec(train(2), TWO));
    let (first, second) = (desk.lease(0), desk.lease(1));
    let failure =
        GuestFailure { code: FailureCode::Panic, message: "lib.rs:7: no".to_owned(), gas: 5_000_000_000 };
    let said = Said(ReceiptOutcome::GuestFailure { failure }, Digest::of(b""));
    for (number, lease) in [(0, &first), (1, &second)] {
        desk.commit(number, lease, &said);
    }
    for (number, lease) in [(0, &first), (1, &second)] {
        desk.reveal(number, lease, &said).expect("asked");
    }
    assert!(desk.market.job(&job).is_some(), "not believed without a replay");
    let order = desk.orders.remove(0);
    let (outcome, trace_root) = (said.0.clone(), said.1);
    let outcome = anneal_market::ReplayOutcome::Done { outcome, trace_root, trace: Default::default() };
    desk.ok(Command::ReplayAnswer { replay: order.replay, outcome: Box::new(outcome) });
    assert!(desk.market.job(&job).is_none());
    assert_eq!(desk.paid().len(), 2);
    let message = desk.effects.iter().find_map(|effect| match effect {
        anneal_market::Effect::JobEnded { end, .. } => Some((end.kind, end.message.clone())),
        _ => None,
    });
    assert_eq!(message, Some((EndKind::Failed, Some("lib.rs:7: no".to_owned()))));
    desk.check_log();
}

#[test]
fn a_receipt_about_something_else_is_worth_nothing() {
    let mut desk = Desk::new(quiet(), 3);
    desk.submit(spec(PlanSpec::Single, TWO));
    let (first, second) = (desk.lease(0), desk.lease(1));
    let said = honest(&first, None);
    let mut wrong = receipt(0, &first, &said);
    wrong.lease_epoch += 1;
    let fields = anneal_job::CommitmentFields {
        task_tag: first.task_tag.0,
        attempt: first.attempt,
        lease_epoch: first.lease_epoch,
        provider: provider(0),
        receipt_root: wrong.root(),
    };
    let commitment = fields.commitment(nonce(&first).0.as_bytes());
    desk.ok(Command::Commit { provider: provider(0), attempt: first.attempt, commitment });
    desk.commit(1, &second, &said);
    let (provider_id, attempt) = (provider(0), first.attempt);
    desk.ok(Command::Reveal {
        provider: provider_id,
        attempt,
        receipt: Box::new(wrong),
        nonce: nonce(&first),
    });
    desk.reveal(1, &second, &said).expect("asked");
    assert!(desk.faults().is_empty(), "invalid is not faulty");
    assert_eq!(desk.market.provider(&provider_id).expect("enrolled").reputation.failures_in_a_row, 1);
    let third = desk.lease(2);
    desk.commit(2, &third, &said);
    desk.reveal(2, &third, &said).expect("asked");
    assert_eq!(desk.paid(), [second.attempt, third.attempt]);
}

#[test]
fn audits_are_drawn_from_the_secret_and_can_be_checked() {
    let mut desk = Desk::new(strict(), 2);
    desk.submit(spec(PlanSpec::Single, TWO));
    desk.finish(&[0, 1]);
    assert_eq!(desk.orders.len(), 1, "every task is audited under these rules");
    let secret = anneal_market::EpochSecret::from_bytes([2; 32]);
    desk.ok(Command::BeginEpoch { secret });
    let opened = |event: &EventKind| matches!(event, EventKind::EpochOpened { epoch: 0, .. });
    assert_eq!(desk.count(opened), 0, "a draw is not final yet");
    desk.replay(None);
    assert_eq!(desk.count(opened), 1);
    desk.check_log();
    let quorum = |event: &EventKind| {
        matches!(event, EventKind::Verdict { evidence: Evidence::Quorum { needed: 2 }, .. })
    };
    assert_eq!(desk.count(quorum), 1);
    assert_eq!(desk.market.developer(&DEVELOPER).expect("known").jobs, 0);
}
