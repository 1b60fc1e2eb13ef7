//! The desk against a coordinator that forgets replies, repeats duties and restarts the agent at any time:
//! no lease is lost, nothing is revealed before it was committed to, and everything comes to an end.

use std::collections::BTreeMap;

use anneal_api::{
    ErrorBody, SecretKey,
    wire::{BatchReply, HeartbeatReply, ItemReply, SignedReceipt},
};
use anneal_job::{
    Completed, Entry, FaultCode, Limits, Price, Receipt, ReceiptOutcome, Span, Task, plan::place_alone,
    result_digest,
};
use anneal_sandbox::VERSIONS;
use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp(1_000_000);

pub(crate) fn lease(number: u8, device: u32) -> Lease {
    let component = Digest::of(b"component");
    let task = Task {
        component,
        entry: Entry::Run,
        place: place_alone(),
        job_seed: u64::from(number),
        parameters: BTreeMap::new(),
        inputs: BTreeMap::new(),
        states: Vec::new(),
        limits: Limits::DEFAULT,
        versions: VERSIONS,
    };
    Lease {
        attempt: AttemptId(Digest::of(&[number])),
        lease_epoch: 1,
        device,
        task_tag: Digest::of(b"tag"),
        salt: Digest::of(b"salt"),
        task_id: task.id(),
        task,
        developer: None,
        component: Blob { digest: component, bytes: 9 },
        inputs_blob: None,
        states: Vec::new(),
        expected: Span::seconds(10),
        deadline: NOW + Span::hours(1),
        heartbeat_every: Span::seconds(20),
        price: Price(1000),
        shadow: false,
    }
}

fn finished(key: &SecretKey, lease: &Lease) -> Finished {
    let state = Digest::of(b"state");
    let completed =
        Completed { result: result_digest(state, &[]), state, metrics: Vec::new(), gas: 5, steps: 1 };
    let receipt = Receipt {
        task: lease.task_id,
        outcome: ReceiptOutcome::Completed { completed, state_blob: Blob { digest: state, bytes: 1 } },
        trace_root: Digest::of(b"trace"),
        component: lease.task.component,
        versions: lease.task.versions,
        device_class: "cpu".to_owned(),
        provider: key.identity(),
        lease_epoch: lease.lease_epoch,
        salt: lease.salt,
    };
    let receipt = SignedReceipt::sign(key, lease.attempt, receipt);
    // Another one for each run, as in life: two runs of one attempt would be seen.
    let nonce = anneal_api::random_bytes().map(Digest::from_bytes).expect("random bytes");
    Finished { receipt, nonce, committed: false }
}

fn reply(leases: Vec<Lease>, duties: Vec<Duty>) -> PollReply {
    PollReply { leases, duties, revision: 1, none: Vec::new(), prices: BTreeMap::new() }
}

fn accept(batch: &Batch) -> BatchReply {
    let all = |count: usize| vec![ItemReply::default(); count];
    BatchReply {
        heartbeats: vec![HeartbeatReply { wanted: true }; batch.heartbeats.len()],
        commits: all(batch.commits.len()),
        reveals: all(batch.reveals.len()),
        faults: all(batch.faults.len()),
        given_back: all(batch.given_back.len()),
        traces: all(batch.traces.len()),
        appeals: all(batch.appeals.len()),
    }
}

fn is_run(action: &Action) -> bool {
    matches!(action, Action::Run(_))
}

#[test]
fn an_attempt_goes_its_way() {
    let key = SecretKey::generate().expect("random bytes");
    let mut desk = Desk::new([0], Vec::new(), NOW);
    assert_eq!(desk.poll(NOW).idle, [0]);
    let lease = lease(1, 0);
    let attempt = lease.attempt;
    desk.polled(reply(vec![lease.clone()], Vec::new()), NOW);
    let actions = desk.actions(NOW);
    assert!(matches!(&actions[..], [Action::Save(_), Action::Run(run)] if run.attempt == attempt));
    assert!(desk.idle(NOW).is_empty());
    assert_eq!(desk.batch(NOW), None);

    desk.ran(attempt, finished(&key, &lease));
    assert!(matches!(&desk.actions(NOW)[..], [Action::Save(_)]));
    assert_eq!(desk.idle(NOW), [0]);
    // A reveal that is asked for too early is not answered before the commitment is known to have come.
    desk.polled(reply(Vec::new(), vec![Duty::Reveal { attempt, deadline: NOW }]), NOW);
    let batch = desk.batch(NOW).expect("a commitment");
    assert_eq!((batch.commits.len(), batch.reveals.len()), (1, 0));
    desk.answered(&batch, &accept(&batch), NOW);
    let batch = desk.batch(NOW).expect("a reveal");
    assert_eq!((batch.commits.len(), batch.reveals.len()), (0, 1));
    desk.answered(&batch, &accept(&batch), NOW);
    assert_eq!(desk.batch(NOW), None);

    desk.polled(reply(Vec::new(), vec![Duty::Stop { attempt }]), NOW);
    assert!(desk.actions(NOW).contains(&Action::Forget(attempt)));
    assert_eq!(desk.records().count(), 0);
}

#[test]
fn a_poll_names_what_is_unfinished_and_the_first_one_does_not_wait() {
    let key = SecretKey::generate().expect("a key");
    let mut desk = Desk::new([0], Vec::new(), NOW);
    let (first, second) = (lease(1, 0), lease(2, 0));
    let asked = desk.poll(NOW);
    assert_eq!((asked.wait_ms, asked.holds), (0, Some(Vec::new())));
    desk.polled(reply(vec![first.clone(), second.clone()], Vec::new()), NOW);
    let asked = desk.poll(NOW);
    assert!(asked.wait_ms > 0);
    let held = asked.holds.map(|holds| holds.into_iter().collect::<BTreeSet<_>>());
    assert_eq!(held, Some([first.attempt, second.attempt].into()));
    desk.ran(first.attempt, finished(&key, &first));
    assert_eq!(desk.poll(NOW).holds, Some(vec![second.attempt]));
}

#[test]
fn one_attempt_at_a_time_runs_on_a_device() {
    let mut desk = Desk::new([0, 1], Vec::new(), NOW);
    desk.polled(reply(vec![lease(1, 0), lease(2, 0), lease(3, 1)], Vec::new()), NOW);
    let actions = desk.actions(NOW);
    assert_eq!(actions.iter().filter(|action| is_run(action)).count(), 2);
    let fetches: Vec<AttemptId> = actions.iter().filter_map(fetch).collect();
    assert_eq!(fetches.len(), 1);
    // It runs once its blobs are there, and not before.
    let on_first = |action: &&Action| matches!(action, Action::Run(lease) if lease.device == 0);
    let running = actions.iter().find(on_first).map(|action| match action {
        Action::Run(lease) => lease.attempt,
        _ => unreachable!("it was found by being a run"),
    });
    desk.failed(running.expect("one runs"), Failure::Blob, NOW);
    assert_eq!(desk.actions(NOW).into_iter().filter(is_run).count(), 0);
    desk.fetched(fetches[0]);
    assert_eq!(desk.actions(NOW).into_iter().filter(is_run).count(), 1);
    let batch = desk.batch(NOW).expect("a lease given back");
    assert_eq!(batch.given_back.len(), 1);
}

#[test]
fn what_was_stopped_is_no_fault() {
    let mut desk = Desk::new([0], Vec::new(), NOW);
    let fault = || Failure::Fault(HostFault { code: FaultCode::Internal, message: "it ended".to_owned() });
    let attempt = lease(1, 0).attempt;
    let begin = |desk: &mut Desk| {
        desk.polled(reply(vec![lease(1, 0)], Vec::new()), NOW);
        assert_eq!(desk.actions(NOW).iter().filter(|action| is_run(action)).count(), 1);
    };
    begin(&mut desk);
    assert!(desk.failed(attempt, fault(), NOW), "nobody stopped it");
    let batch = desk.batch(NOW).expect("a fault");
    assert_eq!((batch.faults.len(), batch.given_back.len()), (1, 0));
    desk.answered(&batch, &accept(&batch), NOW);
    begin(&mut desk);
    assert_eq!(desk.release(0), 1);
    assert!(!desk.failed(attempt, fault(), NOW), "its owner wants the device");
    let batch = desk.batch(NOW).expect("a lease given back");
    assert_eq!((batch.faults.len(), batch.given_back.len()), (0, 1));
    desk.answered(&batch, &accept(&batch), NOW);
    assert!(!desk.failed(attempt, fault(), NOW), "nobody knows it any more");
}

#[test]
fn a_lease_of_other_versions_is_given_back_and_is_no_fault() {
    let mut desk = Desk::new([0], Vec::new(), NOW);
    desk.polled(reply(vec![lease(1, 0)], Vec::new()), NOW);
    desk.actions(NOW);
    let attempt = lease(1, 0).attempt;
    assert!(!desk.failed(attempt, Failure::Versions, NOW));
    let batch = desk.batch(NOW).expect("a lease given back");
    assert_eq!(batch.given_back, [GiveBackItem { attempt, reason: GiveBackReason::Versions }]);
    assert!(batch.faults.is_empty() && batch.commits.is_empty());
    // One that was finished before an update cannot be traced after it: no fault either.
    let key = SecretKey::generate().expect("random bytes");
    let old = lease(2, 0);
    desk.polled(reply(vec![old.clone()], Vec::new()), NOW);
    desk.actions(NOW);
    desk.ran(old.attempt, finished(&key, &old));
    assert!(!desk.failed(old.attempt, Failure::Versions, NOW));
}

#[test]
fn the_next_lease_is_asked_for_halfway_through_the_only_one() {
    let mut desk = Desk::new([0, 1], Vec::new(), NOW);
    let halfway = NOW + Span(lease(1, 0).expected.0 / 2);
    desk.polled(reply(vec![lease(1, 0)], Vec::new()), NOW);
    desk.actions(NOW);
    assert_eq!(desk.idle(Timestamp(halfway.0 - 1)), [1]);
    assert_eq!(desk.idle(halfway), [0, 1]);
    desk.polled(reply(vec![lease(2, 0)], Vec::new()), halfway);
    assert!(matches!(&desk.actions(halfway)[..], [Action::Save(_), Action::Fetch(_)]));
    assert_eq!(desk.idle(halfway + Span::hours(1)), [1]);
}

#[test]
fn an_owner_who_wants_nothing_new_gives_back_what_has_not_begun() {
    for wish in [Wish::Pause, Wish::Finish] {
        let mut desk = Desk::new([0], Vec::new(), NOW);
        desk.polled(reply(vec![lease(1, 0), lease(2, 0)], Vec::new()), NOW);
        let begun: Vec<Action> = desk.actions(NOW).into_iter().filter(is_run).collect();
        desk.wish(wish);
        // One that was asked for before comes too late.
        desk.polled(reply(vec![lease(3, 0)], Vec::new()), NOW);
        assert!(!desk.actions(NOW).iter().any(is_run));
        let batch = desk.batch(NOW).expect("leases given back");
        assert_eq!((begun.len(), batch.given_back.len()), (1, 2));
        desk.answered(&batch, &accept(&batch), NOW);
        assert_eq!(desk.records().count(), 1);
        assert!(desk.idle(NOW + Span::hours(1)).is_empty());
    }
}

fn fetch(action: &Action) -> Option<AttemptId> {
    match action {
        Action::Fetch(lease) => Some(lease.attempt),
        _ => None,
    }
}

#[test]
fn a_refused_commitment_is_forgotten_and_a_refused_answer_comes_later() {
    let key = SecretKey::generate().expect("random bytes");
    let mut desk = Desk::new([0], Vec::new(), NOW);
    let lease = lease(1, 0);
    desk.polled(reply(vec![lease.clone()], Vec::new()), NOW);
    desk.actions(NOW);
    desk.ran(lease.attempt, finished(&key, &lease));
    let batch = desk.batch(NOW).expect("a commitment");
    let mut refused = accept(&batch);
    refused.commits[0].error = Some(ErrorBody {
        status: 409,
        code: "too-late".to_owned(),
        message: "too late".to_owned(),
        detail: None,
        hint_ms: None,
    });
    desk.answered(&batch, &refused, NOW);
    assert!(desk.actions(NOW).contains(&Action::Forget(lease.attempt)));
}

#[test]
fn an_owner_who_leaves_loses_no_finished_work() {
    let key = SecretKey::generate().expect("random bytes");
    let mut desk = Desk::new([0, 1], Vec::new(), NOW);
    let (done, running) = (lease(1, 0), lease(2, 1));
    desk.polled(reply(vec![done.clone(), running.clone()], Vec::new()), NOW);
    desk.actions(NOW);
    desk.ran(done.attempt, finished(&key, &done));
    desk.wish(Wish::Leave);
    assert!(!desk.is_done());
    assert!(desk.actions(NOW).contains(&Action::Stop(running.attempt)));
    let batch = desk.batch(NOW).expect("a lease given back");
    assert_eq!((batch.given_back.len(), batch.given_back[0].attempt), (1, running.attempt));
    desk.answered(&batch, &accept(&batch), NOW);
    assert!(desk.is_done());
    let kept: Vec<AttemptId> = desk.records().map(|record| record.lease.attempt).collect();
    assert_eq!(kept, [done.attempt]);
}

/// What may happen to an agent.
#[derive(Clone, Debug)]
enum Happens {
    Lease(u8, u32),
    Runs,
    Fails,
    Sends { lost: bool },
    Duty(u8, u8),
    Restarts,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        (any::<u8>(), 0..3_u32).prop_map(|(number, device)| Happens::Lease(number, device)),
        Just(Happens::Runs),
        Just(Happens::Fails),
        any::<bool>().prop_map(|lost| Happens::Sends { lost }),
        (any::<u8>(), 0..4_u8).prop_map(|(number, kind)| Happens::Duty(number, kind)),
        Just(Happens::Restarts),
    ]
}

#[test]
fn a_policy_holds_devices_and_gives_their_leases_back() {
    let key = SecretKey::generate().expect("random bytes");
    let mut desk = Desk::new([0, 1, 2], Vec::new(), NOW);
    let (here, there, done) = (lease(1, 0), lease(2, 1), lease(3, 2));
    desk.polled(reply(vec![done.clone()], Vec::new()), NOW);
    desk.actions(NOW);
    desk.ran(done.attempt, finished(&key, &done));
    // What is held takes nothing, and what it has waits.
    desk.hold([0].into());
    assert_eq!(desk.idle(NOW), [1, 2]);
    desk.polled(reply(vec![here.clone(), there.clone()], Vec::new()), NOW);
    let runs = |actions: Vec<Action>| -> Vec<AttemptId> {
        let run = |action| if let Action::Run(lease) = action { Some(lease.attempt) } else { None };
        actions.into_iter().filter_map(run).collect()
    };
    assert_eq!(runs(desk.actions(NOW)), [there.attempt]);
    desk.fetched(here.attempt);
    desk.hold(BTreeSet::new());
    assert_eq!(runs(desk.actions(NOW)), [here.attempt]);
    // What is released is stopped and given back once, and what is finished stays.
    assert_eq!((desk.release(0), desk.release(2), desk.release(0)), (1, 0, 0));
    assert_eq!(desk.actions(NOW), [Action::Stop(here.attempt)]);
    let batch = desk.batch(NOW).expect("there is something to say");
    let given: Vec<_> = batch.given_back.iter().map(|item| (item.attempt, item.reason)).collect();
    assert_eq!(given, [(here.attempt, GiveBackReason::Policy)]);
    assert_eq!(batch.commits.len(), 1);
    // A run that ended all the same is not told of any more.
    desk.ran(here.attempt, finished(&key, &here));
    desk.answered(&batch, &accept(&batch), NOW);
    let known: Vec<AttemptId> = desk.records().map(|record| record.lease.attempt).collect();
    assert!(
        !known.contains(&here.attempt) && known.contains(&done.attempt) && known.contains(&there.attempt)
    );
}

proptest! {
    /// The disk is what `Save` wrote and `Forget` removed; after a restart nothing else is known.
    #[test]
    fn nothing_is_told_that_is_not_on_disk(history in prop::collection::vec(happens(), 1..80)) {
        let key = SecretKey::generate().expect("random bytes");
        let (mut desk, mut disk) = (Desk::new([0, 1, 2], Vec::new(), NOW), BTreeMap::new());
        let (mut running, mut committed): (Vec<Lease>, BTreeMap<AttemptId, Digest>) = Default::default();
        for event in history {
            match event {
                Happens::Lease(number, device) => {
                    let lease = lease(number, device);
                    // A coordinator leases an attempt once.
                    if !committed.contains_key(&lease.attempt) && !disk.contains_key(&lease.attempt) {
                        desk.polled(reply(vec![lease], Vec::new()), NOW);
                    }
                }
                Happens::Runs => {
                    if let Some(lease) = running.pop() {
                        desk.ran(lease.attempt, finished(&key, &lease));
                    }
                }
                Happens::Fails => {
                    if let Some(lease) = running.pop() {
                        desk.failed(lease.attempt, Failure::Blob, NOW);
                    }
                }
                Happens::Sends { lost } => {
                    if let Some(batch) = desk.batch(NOW) {
                        for item in &batch.commits {
                            let record: &Record = &disk[&item.attempt];
                            prop_assert_eq!(record.commitment(), Some(item.commitment));
                            let before = committed.insert(item.attempt, item.commitment);
                            prop_assert!(before.is_none_or(|before| before == item.commitment));
                        }
                        for item in &batch.reveals {
                            prop_assert!(committed.contains_key(&item.receipt.attempt));
                        }
                        if !lost {
                            desk.answered(&batch, &accept(&batch), NOW);
                        }
                    }
                }
                Happens::Duty(number, kind) => {
                    let attempt = AttemptId(Digest::of(&[number]));
                    let blob = Blob { digest: Digest::of(b"state"), bytes: 1 };
                    let duty = match kind {
                        0 => Duty::Reveal { attempt, deadline: NOW },
                        1 => Duty::Upload { attempt, blob, deadline: NOW },
                        2 => Duty::Trace { attempt, level: TraceLevel::Commits, deadline: NOW },
                        _ => Duty::Stop { attempt },
                    };
                    desk.polled(reply(Vec::new(), vec![duty]), NOW);
                }
                Happens::Restarts => {
                    running.clear();
                    desk = Desk::new([0, 1, 2], disk.values().cloned().collect(), NOW);
                }
            }
            for action in desk.actions(NOW) {
                match action {
                    Action::Save(record) => drop(disk.insert(record.lease.attempt, *record)),
                    Action::Forget(attempt) => drop(disk.remove(&attempt)),
                    Action::Run(lease) => running.push(*lease),
                    Action::Stop(attempt) => running.retain(|lease| lease.attempt != attempt),
                    Action::Fetch(lease) => {
                        prop_assert!(!running.contains(&lease));
                        desk.fetched(lease.attempt);
                    }
                    Action::Trace(..) | Action::Upload(..) => {}
                }
            }
            let known: Vec<&Record> = desk.records().collect();
            prop_assert_eq!(known, disk.values().collect::<Vec<_>>());
        }
    }
}
