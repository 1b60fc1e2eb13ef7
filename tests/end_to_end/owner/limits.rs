//! A provider obeys its owner's policy: the real process with a real job, on a machine whose sensors the test writes.

mod rules;

use anneal_tests::{machine::MachineStandIn, workspace};
use serde_json::Value;

use super::{Process, Site, wait_for};

/// A machine whose processor is this hot.
fn machine(celsius: u32) -> String {
    format!(
        "sys/class/hwmon/hwmon1/name coretemp
         sys/class/hwmon/hwmon1/temp1_input {celsius}000
         sys/class/power_supply/AC/type Mains
         sys/class/power_supply/AC/online 1
         proc/1/comm systemd"
    )
}

impl Site {
    fn provide_on(&self, machine: &MachineStandIn, log: &str) -> Process {
        self.provide_with(log, &[("ANNEAL_SENSORS_ROOT", machine.root())])
    }

    /// What its only device is let do, once this holds of it.
    fn limits(&self, log: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        self.status(log);
        wait_for(what, || {
            let status = self.anneal(&["status", "--json"]).success().json();
            let limits = status["coordinators"][0]["devices"]["0"]["limits"].clone();
            holds(&limits).then_some(limits)
        })
    }
}

#[test]
fn heat_and_a_lost_sensor_stop_work_and_the_digest_stays() {
    let site = Site::start();
    site.set_up(&["--no-page"]);
    let policy = site.provider().join("policy.toml");
    let text = std::fs::read_to_string(&policy).expect("set up");
    let quick = text.replace("[owner]\n", "[owner]\nresume-after-seconds = 5\n");
    assert_ne!(quick, text);
    std::fs::write(&policy, quick).expect("written");
    let machine = MachineStandIn::new(&machine(104));
    let _provider = site.provide_on(&machine, "hot.log");
    let stands = |limits: &Value| limits["doing"].as_str().is_some_and(|doing| doing != "run");
    let hot = site.limits("hot.log", "heat", stands);
    assert!(hot["reasons"].to_string().contains("104 °C"), "{hot}");

    // Nothing is begun while it is hot.
    let hello = anneal_tests::component("examples/hello");
    let hello = hello.to_str().expect("a plain path");
    let manifest = workspace().join("examples/hello/job.toml");
    let manifest = manifest.to_str().expect("a plain path");
    let submit = ["submit", hello, "--manifest", manifest, "--coordinator", &site.url];
    let terms = ["--redundancy", "1", "--yes", "--detach", "--json"];
    let submitted = site.anneal(&[&submit[..], &terms[..]].concat()).success().json();
    let job = submitted["summary"]["id"].as_str().expect("a job").to_owned();
    let still = site.limits("hot.log", "heat", stands);
    let status = site.anneal(&["status", "--json"]).success().json();
    assert_eq!(status["coordinators"][0]["finished"], 0, "{still} {status}");

    // It is run once the machine is cool, throttled as it begins, with the digest of a run that nobody held.
    machine.write(&self::machine(50));
    wait_for("the job's end", || {
        let jobs = site.anneal(&["jobs", "--coordinator", &site.url, "--json"]).success().json();
        jobs["jobs"][0]["state"].as_str().filter(|state| *state != "running").map(str::to_owned)
    });
    let watched = site.anneal(&["watch", &job, "--coordinator", &site.url, "--json"]).success().json();
    assert_eq!(watched["summary"]["state"], "completed", "{watched}\n{}", site.said("hot.log"));
    let out = site.folder.path().join("alone");
    let out = out.to_str().expect("a plain path");
    let alone = site.anneal(&["run", hello, "--manifest", manifest, "--out", out, "--json"]).success().json();
    assert_eq!(watched["end"]["result"], alone["result"], "{watched} {alone}");

    // A sensor that was there and fails stops everything, and is named.
    machine.break_file("sys/class/hwmon/hwmon1/temp1_input");
    let lost = site.limits("hot.log", "the lost sensor", stands);
    assert!(lost["reasons"].to_string().contains("processor"), "{lost}");
}
