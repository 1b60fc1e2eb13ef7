//! A machine is often up before its network: a coordinator that is not there yet is waited for, the owner is told,
//! and no other coordinator waits with it.

use std::net::TcpListener;

use anneal_tests::workspace;

use super::{Site, wait_for};

#[test]
fn a_coordinator_that_is_not_there_is_waited_for_and_holds_no_other_up() {
    let (here, mut later) = (Site::start(), Site::start());
    // A coordinator that has an address, and is not there.
    let address = later.url.trim_start_matches("http://").to_owned();
    later.leave();
    let gateway = TcpListener::bind(&address).expect("the address is free again");
    here.set_up(&["--no-page"]);
    let mut provider = here.provide_for("provider.log", &[&later.url, &here.url]);

    // The one that is there gets its job done.
    let status = wait_for("the one that is there", || {
        assert!(provider.0.try_wait().expect("a child").is_none(), "{}", here.said("provider.log"));
        let asked = here.anneal(&["status", "--json"]);
        let status = (asked.status() == 0).then(|| asked.json())?;
        (status["coordinators"][1]["identity"] != "").then_some(status)
    });
    assert_eq!(status["coordinators"][0]["identity"], "", "{status}");
    completes(&here, &here);

    // What takes connections and says nothing of a coordinator is none, and trouble is told.
    wait_for("the owner to be told", || here.said("provider.log").contains("trouble: ").then_some(()));
    drop(gateway);
    wait_for("the owner to be told why", || {
        here.said("provider.log").contains(&format!("{} cannot be reached", later.url)).then_some(())
    });
    later.come_at(&address);
    completes(&here, &later);
    assert!(here.said("provider.log").contains("the trouble is over"), "{}", here.said("provider.log"));
    here.anneal(&["finish"]).success();
    assert!(provider.ended("finish").success(), "{}", here.said("provider.log"));
}

#[test]
fn who_waits_for_a_coordinator_can_be_ended() {
    let site = Site::start();
    site.set_up(&["--no-page"]);
    let mut provider = site.provide_for("provider.log", &["http://127.0.0.1:1"]);
    wait_for("the owner to be told", || site.said("provider.log").contains("trouble: ").then_some(()));
    site.anneal(&["finish"]).success();
    assert!(provider.ended("finish").success(), "{}", site.said("provider.log"));
}

/// A job that the developer of one site submits to the coordinator of another.
fn completes(developer: &Site, at: &Site) {
    let hello = anneal_tests::component("examples/hello").display().to_string();
    let manifest = workspace().join("examples/hello/job.toml").display().to_string();
    let terms = ["--coordinator", &at.url, "--redundancy", "1", "--test", "--yes", "--json"];
    let submit = [&["submit", &hello, "--manifest", &manifest], &terms[..]].concat();
    let ended = developer.anneal(&submit).success().json();
    assert_eq!(ended["summary"]["state"], "completed", "{ended}");
}
