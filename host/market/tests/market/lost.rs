//! A coordinator's disk that loses what was verified: it is made again from what is left, and nobody pays for it
//! who is not to blame.

use anneal_job::{Digest, PlanSpec, Redundancy};
use anneal_market::{Command, EndKind, EventKind, view::JobStatus};

use crate::desk::{DEVELOPER, Desk, quiet, spec};

const SEGMENTS: u32 = 5;

fn job() -> anneal_market::JobSpec {
    spec(PlanSpec::Train { segments: SEGMENTS, workers: 1 }, Redundancy::Fixed(2))
}

/// What the developer has paid when the job is done, with the states after `lose_after` tasks lost where it says so.
fn spent(lose_after: Option<u32>, all: bool) -> u64 {
    let mut desk = Desk::new(quiet(), 2);
    let before = desk.available();
    let id = desk.submit(job());
    let mut rounds = 0;
    while let Some(known) = desk.market.job(&id) {
        assert!(rounds < 4 * SEGMENTS, "the job ends");
        if lose_after == Some(rounds) {
            let states: Vec<Digest> = known.states.values().map(|state| state.blob.digest).collect();
            let lost = if all { &states[..] } else { &states[..states.len().min(1)] };
            for blob in lost {
                desk.ok(Command::BlobLost { blob: *blob });
            }
            assert_eq!(desk.count(|kind| matches!(kind, EventKind::StateLost { .. })) > 0, !lost.is_empty());
        }
        desk.finish(&[0, 1]);
        rounds += 1;
    }
    assert_eq!(desk.count(|kind| matches!(kind, EventKind::JobEnded { end: EndKind::Completed, .. })), 1);
    assert!(desk.faults().is_empty());
    desk.check_log();
    before - desk.available()
}

#[test]
fn a_lost_state_is_made_again_at_the_networks_expense() {
    let undisturbed = spent(None, false);
    for lose_after in 0..SEGMENTS + 2 {
        for all in [false, true] {
            // The task that was open when it happened is the network's, too.
            let spent = spent(Some(lose_after), all);
            assert!(spent > 0 && spent <= undisturbed, "after {lose_after}, all: {all}: {spent}");
        }
    }
}

#[test]
fn a_lost_component_pauses_the_job_until_it_is_there_again() {
    let mut desk = Desk::new(quiet(), 2);
    let id = desk.submit(job());
    desk.finish(&[0, 1]);
    let blob = job().component.digest;
    desk.ok(Command::BlobLost { blob });
    let status = desk.market.job(&id).expect("it is there").status.clone();
    assert!(matches!(status, JobStatus::Paused { message } if message.contains("submit it once more")));
    desk.ok(Command::ResumeJob { developer: DEVELOPER, job: id });
    while desk.market.job(&id).is_some() {
        desk.finish(&[0, 1]);
    }
    desk.check_log();
}

#[test]
fn a_lost_result_is_not_given_from_the_cache() {
    let mut desk = Desk::new(quiet(), 2);
    let id = desk.submit(job());
    while desk.market.job(&id).is_some() {
        desk.finish(&[0, 1]);
    }
    let cached = desk.market.blobs();
    assert!(!cached.is_empty());
    cached.into_iter().for_each(|blob| drop(desk.ok(Command::BlobLost { blob })));
    let hits = |desk: &Desk| desk.count(|kind| matches!(kind, EventKind::CacheHit { .. }));
    let again = desk.submit(job());
    desk.finish(&[0, 1]);
    assert_eq!(hits(&desk), 0);
    assert!(desk.market.job(&again).is_some_and(|job| job.done == 1));
}
