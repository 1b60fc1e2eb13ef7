//! Every rule of a policy in the real provider, with a real job: while the rule stands nothing is finished and the
//! owner is told why; once it does not, the job ends with the digest of a run that nobody held. Which test trips
//! which key is in [`TESTED`].

mod desktop;
mod energy;
mod heat;
mod hours;
mod readings;
mod shares;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anneal_tests::{machine::MachineStandIn, workspace};
use serde_json::Value;

use super::super::{Process, Site, wait_for};

/// Keys of `policy.toml`, and the test in this folder that trips each.
const TESTED: [(&str, &str); 59] = [
    ("temperature.gpu", HEAT),
    ("temperature.gpu.target", HEAT),
    ("temperature.gpu.limit", HEAT),
    ("temperature.gpu.hysteresis", HEAT),
    ("temperature.gpu.required", HEAT),
    ("temperature.hot-spot", HEAT),
    ("temperature.hot-spot.target", HEAT),
    ("temperature.hot-spot.limit", HEAT),
    ("temperature.hot-spot.hysteresis", HEAT),
    ("temperature.hot-spot.required", HEAT),
    ("temperature.gpu-memory", HEAT),
    ("temperature.gpu-memory.target", HEAT),
    ("temperature.gpu-memory.limit", HEAT),
    ("temperature.gpu-memory.hysteresis", HEAT),
    ("temperature.gpu-memory.required", HEAT),
    ("temperature.cpu", HEAT),
    ("temperature.cpu.target", HEAT),
    ("temperature.cpu.limit", HEAT),
    ("temperature.cpu.hysteresis", HEAT),
    ("temperature.cpu.required", HEAT),
    ("fan.limit-percent", DRIVER),
    ("power.watts", DRIVER),
    ("power.kwh-per-day", "a_day_s_and_a_month_s_energy_hold_work_and_change_no_digest"),
    ("power.kwh-per-month", "a_day_s_and_a_month_s_energy_hold_work_and_change_no_digest"),
    ("power.overhead-watts", "a_day_s_and_a_month_s_energy_hold_work_and_change_no_digest"),
    ("earnings.currency", TEXTS),
    ("earnings.xmr-price", TEXTS),
    ("earnings.price-per-kwh", TEXTS),
    ("earnings.working-watts", TEXTS),
    ("earnings.margin", TEXTS),
    ("earnings.tariffs", TEXTS),
    ("time.zone", "a_night_without_an_hour_and_one_with_it_twice_open_and_close_when_they_should"),
    ("time.windows", "a_night_without_an_hour_and_one_with_it_twice_open_and_close_when_they_should"),
    ("time.holidays", "days_off_and_the_last_moment_hold_work_and_change_no_digest"),
    ("time.holiday-windows", "days_off_and_the_last_moment_hold_work_and_change_no_digest"),
    ("time.until", "days_off_and_the_last_moment_hold_work_and_change_no_digest"),
    ("owner.idle-minutes", "what_the_owner_does_at_the_desk_holds_work_and_changes_no_digest"),
    ("owner.fullscreen", "what_the_owner_does_at_the_desk_holds_work_and_changes_no_digest"),
    ("owner.run-on-metered-network", "what_the_owner_does_at_the_desk_holds_work_and_changes_no_digest"),
    ("owner.programs", MACHINE),
    ("owner.run-on-battery", MACHINE),
    ("owner.resume-after-seconds", MACHINE),
    ("owner.gpu-memory-by-others", DRIVER),
    ("owner.gpu-percent-by-others", DRIVER),
    ("owner.pause-at-most-minutes", "a_task_is_kept_over_a_short_pause_and_given_back_after_a_long_one"),
    ("shares.gpu-memory", "a_gpu_s_memory_is_shared_and_the_digest_stays"),
    ("shares.duty", "a_share_of_time_and_of_threads_is_kept_and_the_digest_stays"),
    ("shares.cpu-threads", "a_share_of_time_and_of_threads_is_kept_and_the_digest_stays"),
    ("shares.ram", JOBS),
    ("shares.disk", JOBS),
    ("shares.bandwidth", "what_travels_keeps_to_the_bandwidth_and_the_digest_stays"),
    ("shares.concurrent-tasks", "two_devices_take_turns_where_one_task_at_once_is_allowed"),
    ("devices.NVIDIA T400", TEXTS),
    ("jobs.minimum-price", JOBS),
    ("jobs.longest-task-minutes", JOBS),
    ("jobs.allowed-developers", JOBS),
    ("jobs.allowed-components", JOBS),
    ("jobs.denied-developers", JOBS),
    ("jobs.denied-components", JOBS),
];
const HEAT: &str = "heat_of_every_part_is_held_by_its_own_numbers";
const DRIVER: &str = "a_gpu_s_driver_that_reads_anything_holds_work_and_changes_no_digest";
const MACHINE: &str = "what_the_machine_reads_holds_work_and_changes_no_digest";
const TEXTS: &str = "what_the_owner_writes_holds_work_and_changes_no_digest";
const JOBS: &str = "jobs_that_the_owner_refuses_wait_and_change_no_digest";

/// A market that waits for nobody, forgives at once, and expects two minutes of each task, whatever it saw.
const MARKET: &str = "
pairing_patience = 0
expected_min = 120000
expected_max = 120000
silence = 4000
heartbeat_every = 1000
backoff = 200
backoff_max = 2000
failures_in_a_row_max = 50
give_backs_in_a_row_max = 1000
";
/// What holds nothing; work comes back as soon as a policy can say.
const FREE: &str = "[owner]\nresume-after-seconds = 5\n";
/// A processor that is cool, on mains, with nothing running, whose counter of energy stands still.
const CALM: &str = "
    sys/class/hwmon/hwmon1/name coretemp
    sys/class/hwmon/hwmon1/temp1_input 50000
    sys/class/power_supply/AC/type Mains
    sys/class/power_supply/AC/online 1
    sys/class/power_supply/BAT0/type Battery
    sys/class/power_supply/BAT0/status Charging
    sys/class/powercap/intel-rapl:0/name package-0
    sys/class/powercap/intel-rapl:0/energy_uj 1000000
    proc/1/comm systemd
";

/// A provider with a policy, on a machine that the test writes.
struct Scene {
    site: Site,
    /// What its providers find in their environment.
    environment: Vec<(&'static str, PathBuf)>,
    provider: Option<Process>,
    /// Providers so far: each has a log of its own.
    lives: u64,
    /// Jobs so far: each has a seed of its own.
    jobs: u64,
}

impl Scene {
    fn new(device: &str, machine: &MachineStandIn) -> Scene {
        Scene::with_threads(device, 1, machine)
    }

    fn with_threads(device: &str, threads: u32, machine: &MachineStandIn) -> Scene {
        let site = Site::start_with(MARKET);
        let software: &[&str] = if device == "cpu" { &[] } else { &["--software"] };
        site.set_up_with(device, threads, &[&["--no-page"], software].concat());
        let environment = vec![("ANNEAL_SENSORS_ROOT", machine.root().to_owned())];
        Scene { site, environment, provider: None, lives: 0, jobs: 0 }
    }

    /// The same with more in the environment of its providers.
    fn with<'a>(mut self, more: impl IntoIterator<Item = (&'static str, &'a Path)>) -> Scene {
        self.environment.extend(more.into_iter().map(|(name, value)| (name, value.to_owned())));
        self
    }

    /// Ends the provider, which gives back what it has.
    fn leave(&mut self) {
        if let Some(mut provider) = self.provider.take() {
            provider.signal("TERM");
            assert!(provider.ended("SIGTERM").success(), "{}", self.site.said(&self.log()));
        }
    }

    /// The provider, begun anew under this policy.
    fn provide(&mut self, policy: &str) {
        self.leave();
        fs::write(self.site.provider().join("policy.toml"), policy).expect("written");
        self.lives += 1;
        let environment: Vec<_> =
            self.environment.iter().map(|(name, value)| (*name, value.as_path())).collect();
        self.provider = Some(self.site.provide_with(&self.log(), &environment));
        self.site.status(&self.log());
    }

    fn log(&self) -> String {
        format!("{}.log", self.lives)
    }

    /// Submits the smallest job, not waiting for it.
    fn submit(&mut self) -> Job {
        self.submit_of("hello", &["--segments", "1"])
    }

    /// Submits a job of its own seed, not waiting for it, and runs it alone with the command.
    fn submit_of(&mut self, example: &str, more: &[&str]) -> Job {
        self.jobs += 1;
        let seed = format!("{}", 1000 + self.jobs);
        let component = anneal_tests::component(&format!("examples/{example}"));
        let digest = anneal_job::Digest::of(&fs::read(&component).expect("it was built")).to_string();
        let component = component.display().to_string();
        let manifest = workspace().join(format!("examples/{example}/job.toml")).display().to_string();
        let job = [&[component.as_str(), "--manifest", &manifest, "--seed", &seed], more].concat();
        let terms =
            ["--coordinator", &self.site.url, "--redundancy", "1", "--test", "--yes", "--detach", "--json"];
        let submitted = self.site.anneal(&[&["submit"], &job[..], &terms[..]].concat()).success().json();
        let out = self.site.folder.path().join(format!("alone-{seed}")).display().to_string();
        let alone =
            self.site.anneal(&[&["run"], &job[..], &["--backend", "cpu", "--out", &out, "--json"]].concat());
        let text = |key: &str| submitted["summary"][key].as_str().expect("a text").to_owned();
        let undisturbed = alone.success().json()["result"].clone();
        Job { id: text("id"), developer: text("owner"), component: digest, undisturbed }
    }

    /// The devices, as the owner is shown them.
    fn devices(&self) -> Value {
        let status = self.site.anneal(&["status", "--json"]).success().json();
        status["coordinators"][0]["devices"].clone()
    }

    fn device(&self) -> Value {
        self.devices()["0"].clone()
    }

    /// Looks at the first device until this holds of it.
    fn sees(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        let mut seen = Value::Null;
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(what, || {
                seen = self.device();
                holds(&seen).then_some(())
            });
        }));
        assert!(told.is_ok(), "{what}: {seen}\n{}", self.site.said(&self.log()));
    }

    /// Waits until the owner is told this: why nothing runs, or why a lease was given back.
    fn is_told(&self, words: &str) {
        self.sees(words, |device| {
            let limits = &device["limits"];
            let stands = limits["doing"] != "run" && limits["reasons"].to_string().contains(words);
            let said = self.site.said(&self.log());
            let is_given_back = said.lines().any(|line| {
                !line.contains("what was leased") && line.starts_with("gave back") && line.contains(words)
            });
            stands || is_given_back
        });
    }

    /// The rule stands: the owner is told, and nothing of the job is done or begun.
    fn is_held(&self, words: &str, job: &Job) {
        self.is_told(words);
        let (summary, device) = (self.summary(job), self.device());
        assert_eq!(
            (&summary["state"], &summary["tasks_done"], &device["work"]),
            (&Value::from("running"), &Value::from(0), &Value::Null),
            "{words}: {summary} {device}"
        );
    }

    fn summary(&self, job: &Job) -> Value {
        let listed = self.site.anneal(&["jobs", "--coordinator", &self.site.url, "--json"]).success().json();
        let jobs = listed["jobs"].as_array().expect("jobs");
        jobs.iter().find(|other| other["id"] == *job.id).expect("it was submitted").clone()
    }

    /// The job's state, once it has ended.
    fn end(&self, job: &Job) -> Option<Value> {
        Some(self.summary(job)["state"].clone()).filter(|state| state != "running")
    }

    /// Nothing holds the job any more: it ends as if nobody ever had.
    fn ends(&self, job: &Job, rule: &str) {
        let ended =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| wait_for(rule, || self.end(job))));
        let state =
            ended.unwrap_or_else(|_| panic!("{rule}: {}\n{}", self.device(), self.site.said(&self.log())));
        assert_eq!(state, "completed", "{rule}: {}", self.site.said(&self.log()));
        let watched = self.site.anneal(&["watch", &job.id, "--coordinator", &self.site.url, "--json"]);
        assert_eq!(watched.success().json()["end"]["result"], job.undisturbed, "{rule}");
    }

    /// Rules that readings trip, one after another, while a job waits.
    fn readings(&mut self, rules: &[(&str, &dyn Fn())]) -> Job {
        let (first, trip) = rules[0];
        trip();
        self.is_told(first);
        let job = self.submit();
        for (words, trip) in rules {
            trip();
            self.is_held(words, &job);
        }
        job
    }

    /// Rules that the policy's text makes, one after another, while a job waits. Nothing else holds the work.
    fn texts(&mut self, job: &Job, rules: &[(&str, String)]) {
        for (words, policy) in rules {
            self.provide(&format!("{FREE}{policy}"));
            self.is_held(words, job);
        }
    }
}

struct Job {
    id: String,
    developer: String,
    component: String,
    undisturbed: Value,
}

#[test]
fn every_key_of_a_policy_has_a_test_in_the_real_provider() {
    let reference = fs::read_to_string(workspace().join("policy/policy.toml")).expect("it is there");
    let reference: toml::Table = reference.parse().expect("it is TOML");
    let mut keys = BTreeSet::new();
    for (table, rules) in &reference {
        for (key, value) in rules.as_table().expect("a policy consists of tables") {
            let key = format!("{table}.{key}");
            keys.extend(value.as_table().into_iter().flatten().map(|(part, _)| format!("{key}.{part}")));
            keys.insert(key);
        }
    }
    let tested: BTreeSet<String> = TESTED.iter().map(|(key, _)| (*key).to_owned()).collect();
    let difference: Vec<&String> = keys.symmetric_difference(&tested).collect();
    assert!(difference.is_empty(), "keys without a test, or tests of no key: {difference:?}");
    let folder = workspace().join("tests/end_to_end/owner/limits");
    let files =
        fs::read_dir(folder.join("rules")).expect("a folder").map(|file| file.expect("a file").path());
    let code: String = files
        .chain([folder.join("rules.rs")])
        .map(|file| fs::read_to_string(file).expect("a source file is readable"))
        .collect();
    for (key, test) in TESTED {
        assert!(code.contains(&format!("#[test]\nfn {test}() {{")), "{key}: there is no test {test}");
    }
}

#[test]
fn jobs_that_the_owner_refuses_wait_and_change_no_digest() {
    let machine = MachineStandIn::new(CALM);
    let mut scene = Scene::new("cpu", &machine);
    let job = scene.submit();
    let nobody = "1".repeat(64);
    let list = |key: &str, entry: &str| format!("[jobs]\n{key} = [\"{entry}\"]\n");
    let rules = [
        ("`jobs.minimum-price`", "[jobs]\nminimum-price = 900000000\n".to_owned()),
        ("`jobs.longest-task-minutes`", "[jobs]\nlongest-task-minutes = 1\n".to_owned()),
        ("`jobs.denied-components`", list("denied-components", &job.component)),
        ("`jobs.allowed-components`", list("allowed-components", &nobody)),
        ("`jobs.denied-developers`", list("denied-developers", &job.developer)),
        ("`jobs.allowed-developers`", list("allowed-developers", &nobody)),
        ("`shares.ram`", "[shares]\nram = \"1 MiB\"\n".to_owned()),
        ("`shares.disk`", "[shares]\ndisk = \"1 MiB\"\n".to_owned()),
    ];
    scene.texts(&job, &rules);
    // The same keys, with what lets this very job through.
    let allowed = format!(
        "{FREE}[jobs]\nminimum-price = 1\nlongest-task-minutes = 120\nallowed-components = [\"{}\"]\n\
         allowed-developers = [\"{}\"]\ndenied-components = [\"{nobody}\"]\ndenied-developers = [\"{nobody}\"]\n\
         [shares]\nram = \"4 GiB\"\ndisk = \"8 GiB\"\n",
        job.component, job.developer
    );
    scene.provide(&allowed);
    scene.ends(&job, "jobs that are allowed");
}

#[test]
fn what_the_owner_writes_holds_work_and_changes_no_digest() {
    let machine = MachineStandIn::new(CALM);
    let mut scene = Scene::new("cpu", &machine);
    let job = scene.submit();
    // So dear that no machine earns it.
    let dear = "[earnings]\ncurrency = \"CHF\"\nxmr-price = 1e6\nworking-watts = 1000\nprice-per-kwh = 1e8\n";
    scene.texts(&job, &[("would not earn what its energy costs", dear.to_owned())]);
    // An hour's earnings, as the owner is told them in that currency.
    let told = scene.device()["limits"]["reasons"].to_string();
    let earned = told.split("CHF/XMR = ").nth(1).and_then(|rest| rest.split(' ').next());
    let earned: f64 = earned.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{told}"));
    assert!(earned > 0.0, "{told}");
    let earns = |more: &str| {
        format!(
            "[earnings]\nxmr-price = 1e6\nworking-watts = 1000\nprice-per-kwh = {:.6}\n{more}",
            earned / 10.0
        )
    };
    let name = scene.device()["name"].as_str().expect("a device").to_owned();
    let rules = [
        ("is off in your policy", format!("[devices]\n\"{name}\" = false\n")),
        ("times 100 to begin", earns("margin = 100\n")),
        ("would not earn", earns("tariffs = [{ hours = \"00:00-24:00\", price-per-kwh = 1e8 }]\n")),
    ];
    scene.texts(&job, &rules);
    // It earns ten times its cost, which is enough.
    scene.provide(&format!("{FREE}{}[devices]\n\"{name}\" = true\n", earns("margin = 2\n")));
    scene.ends(&job, "what earns enough");
}
