//! What `anneal new` writes builds and runs as it is, outside of this checkout.

use std::{fs, path::Path};

use anneal_tests::{Finished, anneal, command, finish, scratch, workspace};

#[test]
fn a_new_job_builds_and_runs() {
    let folder = scratch();
    let job = folder.path().join("my-job");
    let job = job.as_os_str();
    anneal(["new".as_ref(), job]).success();
    let built = anneal(["build".as_ref(), job, "--json".as_ref()]).success().json();
    assert!(built["component"]["digest"].is_string(), "{built}");
    let report = anneal(["run".as_ref(), job, "--backend".as_ref(), "cpu".as_ref(), "--json".as_ref()])
        .success()
        .json();
    assert!(report["result"].is_string(), "{report}");
    // A directory with something in it is never written to.
    let error = anneal(["new".as_ref(), job]).failure(2).stderr();
    assert!(error.contains("my-job"), "{error}");
}

#[test]
fn one_source_gives_one_component() {
    let folder = scratch();
    let digest = |name: &str| {
        let job = folder.path().join(name).join("job");
        std::fs::create_dir_all(job.parent().expect("joined")).expect("scratch is writable");
        anneal(["new".as_ref(), job.as_os_str()]).success();
        let built = anneal(["build".as_ref(), job.as_os_str(), "--json".as_ref()]).success().json();
        built["component"]["digest"].clone()
    };
    assert_eq!(digest("here"), digest("elsewhere"), "a component must not depend on where it is built");
}

/// `examples/ci/verify-job` on a job.
fn verify_job(job: &Path, more: &[&str]) -> Finished {
    let mut script = std::process::Command::new(workspace().join("examples/ci/verify-job"));
    script.arg(job).args(more).env("ANNEAL", command().get_program());
    finish(script)
}

#[test]
fn a_job_is_verified_in_the_ci_of_its_author() {
    let folder = scratch();
    let job = folder.path().join("my-job");
    anneal(["new".as_ref(), job.as_os_str()]).success();
    let unknown = verify_job(&job, &[]).failure(1).stderr();
    assert!(unknown.contains("--accept"), "nothing was committed yet: {unknown}");
    verify_job(&job, &["--accept"]).success();
    let result = fs::read_to_string(job.join("RESULT")).expect("it was accepted");
    let verified = verify_job(&job, &[]).success().stdout();
    assert_eq!(verified, format!("verified   {result}"));

    // Somebody changes the training.
    let source = fs::read_to_string(job.join("job.toml")).expect("it is there");
    fs::write(job.join("job.toml"), source.replace("seed = 0", "seed = 99")).expect("ours");
    let changed = verify_job(&job, &[]).failure(1).stderr();
    assert!(changed.contains("not the committed one") && changed.contains(result.trim()), "{changed}");
}
