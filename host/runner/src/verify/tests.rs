//! Machines that agree, and machines that do not.

use anneal_job::PlanSpec;

use super::*;
use crate::fake::{Fake, Fault};

fn check(faults: &[(&'static str, Fault)]) -> Outcome<VerifyReport> {
    let job = Job::of_plan(PlanSpec::Train { segments: 3, workers: 2 });
    let machines = faults.iter().map(|&(name, fault)| Box::new(Fake::new(name, fault)) as Box<dyn Machine>);
    verify(&job, machines.collect(), &StopFlag::default(), &mut |_| {})
}

#[test]
fn machines_that_agree_have_a_result() {
    let report = check(&[("a", Fault::None), ("b", Fault::None)]).expect("it runs");
    assert!(report.difference.is_none());
    assert!(report.result.is_some());
    assert_eq!(report.backends[0].result, report.backends[1].result);
}

#[test]
fn a_wrong_operation_is_named() {
    let report = check(&[("a", Fault::None), ("b", Fault::None), ("c", Fault::Wrong)]).expect("it runs");
    assert_eq!(report.result, None);
    let difference = report.difference.expect("a difference");
    // Init, two workers, their merge: the first worker of the second round is task 4.
    assert_eq!((difference.task, difference.step), (4, Some(1)));
    assert_eq!(difference.operation.as_ref().map(|operation| operation.name.as_str()), Some("sum"));
    let message = failure(&difference, 8).to_string();
    assert!(
        message.contains("c does not compute what a computes: in round 2/3 worker 1/2, step 1"),
        "{message}"
    );
    assert!(message.contains("operation `sum`"), "{message}");
}

#[test]
fn a_difference_that_vanishes_names_its_group() {
    let report = check(&[("a", Fault::None), ("b", Fault::WrongWhenFused)]).expect("it runs");
    let difference = report.difference.expect("a difference");
    assert_eq!(
        (difference.operation.clone(), difference.fused_group.as_deref()),
        (None, Some("exp and sum"))
    );
    assert!(failure(&difference, 8).to_string().contains("these together: exp and sum"));
}

#[test]
fn a_machine_that_dies_is_no_difference() {
    let error = check(&[("a", Fault::None), ("b", Fault::Dies(3))]).expect_err("it died");
    assert_eq!(error.kind, ErrorKind::HostFault);
    assert_eq!(error.code.as_deref(), Some("worker-died"));
}
