//! A job whose component nobody has looked at opens no task, costs nothing, and ends with the reason where it cannot
//! be admitted.

use anneal_job::{Blob, Digest, PlanSpec, Redundancy};
use anneal_market::{Command, Effect, EndKind, JobSpec, NothingHint, Reply, Waiting};

use crate::desk::{DEVELOPER, Desk, quiet, spec};

fn submit(desk: &mut Desk, spec: JobSpec) -> anneal_job::JobId {
    let command = Command::SubmitUnadmitted { developer: DEVELOPER, nonce: desk.now, spec: Box::new(spec) };
    desk.now += 1;
    match desk.ok(command) {
        Reply::Submitted { job, .. } => job,
        other => panic!("{other:?}"),
    }
}

fn status(desk: &Desk, job: anneal_job::JobId) -> Option<&'static str> {
    desk.market.job(&job).map(|job| job.status.name())
}

#[test]
fn what_is_admitted_opens_and_what_is_not_ends_with_the_reason() {
    let mut desk = Desk::new(quiet(), 2);
    let before = desk.available();
    let good = spec(PlanSpec::Single, Redundancy::Fixed(2));
    let bad = JobSpec { component: Blob { digest: Digest::of(b"garbage"), bytes: 7 }, ..good.clone() };
    let jobs =
        [submit(&mut desk, good.clone()), submit(&mut desk, bad.clone()), submit(&mut desk, good.clone())];
    let asked = desk.effects.iter().filter(|effect| matches!(effect, Effect::Admit { .. })).count();
    let waiting: Vec<Waiting> = desk.market.waiting().collect();
    assert_eq!((asked, waiting.len()), (3, 3));
    assert!(waiting.iter().all(|waiting| waiting.developer == DEVELOPER));
    assert!(jobs.iter().all(|job| status(&desk, *job) == Some("admitting")));
    // It is nobody's lease, however long it takes and whatever is tried meanwhile.
    desk.ok(Command::ResumeJob { developer: DEVELOPER, job: jobs[0] });
    desk.wait(3600);
    assert_eq!(desk.ask(0), Err(NothingHint::NoTasks));

    let refusal = Some("it imports the network".to_owned());
    desk.ok(Command::Admitted { component: bad.component.digest, refusal });
    assert_eq!(status(&desk, jobs[1]), None, "it has ended");
    let end = desk.effects.iter().find_map(|effect| match effect {
        Effect::JobEnded { job, end } if *job == jobs[1] => Some(end.clone()),
        _ => None,
    });
    let end = end.expect("it has ended");
    assert_eq!((end.kind, end.spent.0), (EndKind::Failed, 0));
    assert!(end.message.is_some_and(|message| message.contains("imports the network")));

    desk.ok(Command::Cancel { developer: DEVELOPER, job: jobs[2] });
    assert_eq!(status(&desk, jobs[2]), None, "cancelled before it began");
    desk.ok(Command::Admitted { component: good.component.digest, refusal: None });
    desk.ok(Command::Admitted { component: good.component.digest, refusal: None });
    assert_eq!(status(&desk, jobs[0]), Some("running"));
    desk.lease(0);
    desk.ok(Command::Cancel { developer: DEVELOPER, job: jobs[0] });
    assert!(desk.available() <= before);
    desk.check_log();
}
