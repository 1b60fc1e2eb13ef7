//! Who cannot run a task's versions decides nothing about it, and pays nothing for it.

use anneal_job::{PlanSpec, Redundancy};
use anneal_market::{Command, GiveBackReason, NothingHint, ReplayOutcome};

use crate::desk::{Desk, honest, offer, provider, quiet, spec};

const TWO: Redundancy = Redundancy::Fixed(2);

#[test]
fn a_device_that_cannot_run_a_lease_gives_it_back_for_nothing() {
    let mut desk = Desk::new(quiet(), 1);
    desk.submit(spec(PlanSpec::Single, TWO));
    for _ in 0..10 {
        let lease = desk.lease(0);
        let (id, attempt) = (provider(0), lease.attempt);
        let before = desk.market.provider(&id).expect("enrolled").clone();
        desk.ok(Command::GiveBack { provider: id, attempt, reason: GiveBackReason::Versions });
        let after = desk.market.provider(&id).expect("enrolled");
        assert_eq!(after.reputation, before.reputation);
        assert_eq!((after.pause, after.backoff_until), (before.pause, before.backoff_until));
        // What was said of its device was wrong: it gets nothing until something else is said.
        assert_eq!(desk.ask(0), Err(NothingHint::NoneFits));
        let device = anneal_market::DeviceId(0);
        desk.ok(Command::RegisterDevice { provider: id, device, offer: offer() });
        // A lease is not given again within the same moment.
        desk.wait(1);
    }
    desk.check_log();
}

#[test]
fn a_worker_that_cannot_run_a_tasks_versions_decides_nothing() {
    let mut desk = Desk::new(quiet(), 2);
    let job = desk.submit(spec(PlanSpec::Single, TWO));
    let (first, second) = (desk.lease(0), desk.lease(1));
    let (truth, lie) = (honest(&first, None), honest(&second, Some(3)));
    desk.commit(0, &first, &truth);
    desk.commit(1, &second, &lie);
    desk.reveal(0, &first, &truth).expect("asked");
    desk.reveal(1, &second, &lie).expect("asked");
    let order = desk.orders.remove(0);
    let message = "it is defined by other versions".to_owned();
    let outcome = Box::new(ReplayOutcome::Cannot { message });
    desk.ok(Command::ReplayAnswer { replay: order.replay, outcome });
    assert!(desk.faults().is_empty() && desk.paid().is_empty());
    let status = &desk.market.job(&job).expect("it stands still").status;
    assert_eq!(status.name(), "paused");
    assert!(format!("{status:?}").contains("it is defined by other versions"), "{status:?}");
    assert!(desk.orders.is_empty(), "asking again is no use");
    // Whoever is doubted waits; after a while it is asked again, and a worker that can decides.
    desk.wait(31 * 60);
    assert_eq!(desk.orders.len(), 1);
    desk.replay(None);
    assert!(desk.market.provider(&provider(0)).expect("enrolled").reputation.faults == 0);
    desk.check_log();
}
