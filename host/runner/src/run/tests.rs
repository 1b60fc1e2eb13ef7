//! A run that dies between any two tasks goes on to the digest of one that does not.

use anneal_job::PlanSpec;

use super::*;
use crate::{
    fake::{Fake, Fault, Silent},
    out,
};

fn plans() -> Vec<PlanSpec> {
    let over = [("a".to_owned(), (0..4).map(anneal_job::ParameterValue::Integer).collect())].into();
    vec![
        PlanSpec::Single,
        PlanSpec::Train { segments: 3, workers: 1 },
        PlanSpec::Train { segments: 2, workers: 3 },
        PlanSpec::Map { over },
    ]
}

/// Runs or goes on in a directory; whether it finished.
fn run_in(plan: &PlanSpec, path: &Path, fault: Fault, going_on: bool) -> (RunReport, Option<Failure>) {
    let job = Job::of_plan(plan.clone());
    let (out, finished) = if going_on {
        resume::resume(path, &job, &Silent).expect("a directory to go on in")
    } else {
        (OutDirectory::open(path).expect("a directory"), Vec::new())
    };
    let machine = Box::new(Fake::new("fake", fault));
    let mut run = Run::new(job, machine, DeviceReport::default(), Tasks::Plan, out, finished);
    let failure = run.run(&StopFlag::default(), &mut Silent).err();
    (run.report, failure)
}

#[test]
fn a_run_goes_on_from_wherever_it_died() {
    for plan in plans() {
        let place = tempfile::tempdir().expect("a directory");
        let (undisturbed, failure) = run_in(&plan, &place.path().join("whole"), Fault::None, false);
        assert!(failure.is_none());
        for dies in 1..plan.task_count() {
            let path = place.path().join(format!("dies-{dies}"));
            let (report, failure) = run_in(&plan, &path, Fault::Dies(dies), false);
            assert_eq!(failure.expect("it died").kind, ErrorKind::HostFault);
            assert_eq!((report.result, report.tasks.len()), (None, dies));
            let (report, failure) = run_in(&plan, &path, Fault::None, true);
            assert!(failure.is_none());
            assert_eq!(report.result, undisturbed.result, "{plan:?} died at {dies}");
            assert_eq!(report.metrics, undisturbed.metrics);
        }
    }
}

#[test]
fn damaged_states_are_made_again_and_other_jobs_refused() {
    let place = tempfile::tempdir().expect("a directory");
    let plan = PlanSpec::Train { segments: 3, workers: 1 };
    let (undisturbed, _) = run_in(&plan, &place.path().join("whole"), Fault::None, false);
    let path = place.path().join("damaged");
    run_in(&plan, &path, Fault::Dies(3), false);
    std::fs::write(path.join("segments/002.safetensors"), b"garbage").expect("written");
    let (report, failure) = run_in(&plan, &path, Fault::None, true);
    assert!(failure.is_none());
    assert_eq!(report.result, undisturbed.result);

    let other = Job::of_plan(PlanSpec::Train { segments: 4, workers: 1 });
    let error = resume::resume(&path, &other, &Silent).expect_err("another job");
    assert!(error.to_string().contains("the plan differs"), "{error}");
    let out = OutDirectory::open(&path).expect("a directory");
    assert!(out::is_unfinished(&out, &other.report).is_err());
    assert!(!out::is_unfinished(&out, &Job::of_plan(plan).report).expect("the same job"));
}

#[test]
fn unfinished_runs_and_foreign_files_are_not_overwritten() {
    let place = tempfile::tempdir().expect("a directory");
    let plan = PlanSpec::Train { segments: 3, workers: 1 };
    let path = place.path().join("unfinished");
    run_in(&plan, &path, Fault::Dies(2), false);
    let out = OutDirectory::open(&path).expect("a directory");
    assert!(out::is_unfinished(&out, &Job::of_plan(plan.clone()).report).expect("the same job"));
    std::fs::write(place.path().join("letter.txt"), b"dear").expect("written");
    let out = OutDirectory::open(place.path()).expect("a directory");
    assert!(out::is_unfinished(&out, &Job::of_plan(plan).report).is_err());
}

#[test]
fn the_last_state_has_a_fixed_name() {
    let place = tempfile::tempdir().expect("a directory");
    let plan = PlanSpec::Train { segments: 2, workers: 2 };
    let (report, _) = run_in(&plan, place.path(), Fault::None, false);
    let out = OutDirectory::open(place.path()).expect("a directory");
    let state = out.state(Path::new("state.safetensors")).expect("a state");
    assert_eq!(Some(state.digest()), report.state);
    let left: Vec<String> = std::fs::read_dir(place.path().join("segments"))
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn a_result_of_other_versions_is_not_gone_on_with() {
    let place = tempfile::tempdir().expect("a directory");
    let plan = PlanSpec::Train { segments: 3, workers: 1 };
    let path = place.path().join("older");
    run_in(&plan, &path, Fault::Dies(2), false);
    let file = path.join("result.json");
    let kept = std::fs::read(&file).expect("a report");
    for (part, value) in
        [("numerics", 1000.into()), ("gas", 1000.into()), ("contract", serde_json::json!([0, 1000, 0]))]
    {
        let mut doctored: serde_json::Value = serde_json::from_slice(&kept).expect("JSON");
        doctored["job"]["versions"][part] = value;
        std::fs::write(&file, doctored.to_string()).expect("written");
        let job = Job::of_plan(plan.clone());
        let error = resume::resume(&path, &job, &Silent).expect_err("another version's");
        assert!(error.to_string().contains("the version of contract, numerics or gas differs"), "{error}");
        let out = OutDirectory::open(&path).expect("a directory");
        assert!(out::is_unfinished(&out, &job.report).is_err(), "nor is it overwritten");
    }
}
