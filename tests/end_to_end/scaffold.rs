//! What `anneal new` writes builds and runs as it is, outside of this checkout.

use anneal_tests::{anneal, scratch};

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
