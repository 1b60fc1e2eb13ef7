//! A provider's owner, with the real command: setting up, one process a folder, and steering it from other
//! processes.

mod limits;
mod reach;

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anneal_tests::{Finished, command, finish, scratch};
use serde_json::Value;

/// Nothing here takes so long; a test that hangs shall say where.
const PATIENCE: Duration = Duration::from_secs(120);

/// A process that does not outlive its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _it_may_have_ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Process {
    fn signal(&self, name: &str) {
        let mut kill = std::process::Command::new("kill");
        let sent = kill.args([&format!("-{name}"), &self.0.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
    }

    fn ended(&mut self, what: &str) -> ExitStatus {
        wait_for(what, || self.0.try_wait().expect("a child can be waited for"))
    }
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited too long for {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A folder for everything, a coordinator in it, and the provider's folder.
struct Site {
    folder: tempfile::TempDir,
    url: String,
    coordinator: Option<Process>,
}

/// A coordinator by the rules in the folder, and its URL once it listens.
fn coordinator(folder: &Path, address: &str) -> (Process, String) {
    let mut coordinator = command();
    coordinator.args(["coordinator", "--listen", address, "--folder"]);
    coordinator.arg(folder.join("coordinator")).arg("--rules").arg(folder.join("rules.toml"));
    coordinator.env("ANNEAL_DATA", folder);
    coordinator.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut coordinator = Process(coordinator.spawn().expect("it starts"));
    let mut line = String::new();
    let output = coordinator.0.stdout.take().expect("it is piped");
    BufReader::new(output).read_line(&mut line).expect("it says where");
    let url = line.trim().strip_prefix("listening on ").expect("it says where").to_owned();
    (coordinator, url)
}

impl Site {
    fn start() -> Site {
        Site::start_with("")
    }

    /// The same, whose market goes by these rules.
    fn start_with(rules: &str) -> Site {
        let folder = scratch();
        write(&folder.path().join("rules.toml"), rules);
        let (coordinator, url) = coordinator(folder.path(), "127.0.0.1:0");
        Site { folder, url, coordinator: Some(coordinator) }
    }

    /// The coordinator ends.
    fn leave(&mut self) {
        self.coordinator = None;
    }

    /// It begins again, at this address.
    fn come_at(&mut self, address: &str) {
        self.coordinator = Some(coordinator(self.folder.path(), address).0);
    }

    fn provider(&self) -> PathBuf {
        self.folder.path().join("provider")
    }

    fn anneal(&self, arguments: &[&str]) -> Finished {
        let mut command = command();
        command.args(arguments).env("ANNEAL_DATA", self.folder.path()).env_remove("ANNEAL_COORDINATOR");
        finish(command)
    }

    fn provide(&self, log: &str) -> Process {
        self.provide_with(log, &[])
    }

    fn provide_with(&self, log: &str, environment: &[(&str, &Path)]) -> Process {
        let mut command = command();
        command.envs(environment.iter().copied());
        self.begin(command, log, &[])
    }

    /// For these coordinators.
    fn provide_for(&self, log: &str, urls: &[&str]) -> Process {
        self.begin(command(), log, urls)
    }

    fn begin(&self, mut command: std::process::Command, log: &str, urls: &[&str]) -> Process {
        command.arg("provide").args(urls.iter().flat_map(|url| ["--coordinator", url]));
        command.env("ANNEAL_DATA", self.folder.path()).env_remove("ANNEAL_COORDINATOR");
        let log = File::create(self.folder.path().join(log)).expect("a file");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        Process(command.spawn().expect("it starts"))
    }

    fn said(&self, log: &str) -> String {
        fs::read_to_string(self.folder.path().join(log)).expect("a file")
    }

    /// The status, once the provider is enrolled.
    fn status(&self, log: &str) -> Value {
        wait_for("the provider", || {
            assert!(!self.said(log).contains("error:"), "{}", self.said(log));
            let asked = self.anneal(&["status", "--json"]);
            let is_there = asked.status() == 0
                && asked.json()["coordinators"][0]["identity"]
                    .as_str()
                    .is_some_and(|known| !known.is_empty());
            is_there.then(|| asked.json())
        })
    }

    fn set_up(&self, more: &[&str]) {
        self.set_up_on("cpu", more);
    }

    fn set_up_on(&self, device: &str, more: &[&str]) {
        self.set_up_with(device, 1, more);
    }

    fn set_up_with(&self, device: &str, threads: u32, more: &[&str]) {
        let threads = threads.to_string();
        let arguments = ["--no-payout", "--limits", "dedicated", "--device", device, "--threads", &threads];
        let line = [&["setup", "--coordinator", &self.url][..], &arguments[..], more, &["--json"]].concat();
        let report = self.anneal(&line).success().json();
        assert_eq!(report["limits"], "dedicated");
        assert!(self.provider().join("policy.toml").is_file());
    }
}

#[test]
fn an_owner_steers_a_provider_from_another_process() {
    let site = Site::start();
    let nobody = site.anneal(&["pause", "--json"]).failure(1).json();
    assert_eq!(nobody["error"]["code"], "not-running", "{nobody}");
    site.set_up(&["--no-page"]);

    let mut provider = site.provide("first.log");
    let status = site.status("first.log");
    assert_eq!((&status["wish"], &status["page"]), (&Value::from("run"), &Value::Null), "{status}");
    let second = site.anneal(&["provide"]).failure(1).stderr();
    let process = status["process"].as_u64().expect("a number");
    assert!(second.contains("another `anneal provide`") && second.contains(&process.to_string()), "{second}");

    // What is submitted while it is paused is run once it is resumed.
    assert_eq!(site.anneal(&["pause", "--json"]).success().json()["wish"], "pause");
    let hello = anneal_tests::component("examples/hello");
    let hello = hello.to_str().expect("a plain path");
    let submit = ["submit", hello, "--manifest", "examples/hello/job.toml", "--coordinator", &site.url];
    let terms = ["--redundancy", "1", "--yes", "--detach", "--json"];
    let submitted = site.anneal(&[&submit[..], &terms[..]].concat()).success().json();
    let job = submitted["summary"]["id"].as_str().expect("a job").to_owned();
    assert_eq!(site.anneal(&["resume", "--json"]).success().json()["wish"], "run");
    let watched = site.anneal(&["watch", &job, "--coordinator", &site.url, "--json"]).success().json();
    assert_eq!(watched["summary"]["state"], "completed", "{watched}\n{}", site.said("first.log"));
    let status = site.anneal(&["status"]).success().stdout();
    assert!(status.contains("takes work") && status.contains("ran evaluate"), "{status}");

    // A pause outlives the process, which gives back its leases at SIGTERM as at Ctrl-C.
    site.anneal(&["pause"]).success();
    provider.signal("TERM");
    assert!(provider.ended("SIGTERM").success(), "{}", site.said("first.log"));
    assert!(site.said("first.log").contains("giving back"), "{}", site.said("first.log"));
    site.anneal(&["status"]).failure(1);
    let mut provider = site.provide("second.log");
    assert_eq!(site.status("second.log")["wish"], "pause");
    site.anneal(&["finish"]).success();
    assert!(provider.ended("finish").success(), "{}", site.said("second.log"));

    // The device was tested once, in a process of its own.
    let (first, second) = (site.said("first.log"), site.said("second.log"));
    assert!(first.contains("testing cpu") && !second.contains("testing cpu"), "{first}\n{second}");
    assert!(second.contains("conformance vectors"), "{second}");
}

#[test]
fn setup_asks_nobody_who_is_not_there_and_overwrites_nothing() {
    let folder = scratch();
    let place = folder.path().join("provider");
    let setup = |arguments: &[&str]| {
        let mut command = command();
        command.args(["setup", "--folder"]).arg(&place).args(arguments);
        command.env_remove("ANNEAL_COORDINATOR").env("TZ", "Europe/Berlin").stdin(Stdio::null());
        finish(command)
    };
    let said = setup(&[]).failure(2).stderr();
    for flag in ["--payout", "--limits", "--coordinator"] {
        assert!(said.contains(flag), "{said}");
    }
    let said = setup(&["--no-payout", "--coordinator", "http://127.0.0.1:1"]).failure(2).stderr();
    assert!(said.contains("--limits") && !said.contains("--coordinator"), "{said}");
    let all = ["--no-payout", "--limits", "quiet-night", "--coordinator", "http://127.0.0.1:1"];
    for (flags, words) in [
        (&["--payout", "8abc", "--limits", "solar", "--coordinator", "http://127.0.0.1:1"][..], "--payout"),
        (&["--no-payout", "--limits", "silent", "--coordinator", "http://127.0.0.1:1"], "quiet-night"),
        (&["--no-payout", "--limits", "solar", "--coordinator", "ftp://x"], "ftp://x"),
    ] {
        let said = setup(flags).failure(2).stderr();
        assert!(said.contains(words), "{said}");
        assert!(!place.join("provider.toml").exists(), "{said}");
    }
    setup(&all).success();
    let read = |name: &str| fs::read_to_string(place.join(name)).expect("written");
    assert!(read("policy.toml").contains("zone = \"Europe/Berlin\""));
    write(&place.join("policy.toml"), "# mine\n");
    assert!(setup(&all).failure(2).stderr().contains("--force"));
    assert_eq!(read("policy.toml"), "# mine\n");
    setup(&[&all[..], &["--force", "--name", "attic"]].concat()).success();
    assert!(read("provider.toml").contains("name = \"attic\"") && read("policy.toml") != "# mine\n");
}

/// What the owner requires beside the minimum is there, or nothing is run. Which layers are missing depends on the
/// machine: the doctor says.
#[test]
fn without_a_layer_that_its_owner_requires_a_provider_runs_nothing() {
    let site = Site::start();
    site.set_up(&["--no-page", "--require", "environment"]);
    let settings = fs::read_to_string(site.provider().join("provider.toml")).expect("written");
    assert!(settings.contains("require = [\"environment\"]"), "{settings}");
    let doctor = site.anneal(&["doctor", "--json"]).json();
    let layers = doctor["worker"]["layers"].as_array().expect("layers");
    for layer in layers {
        let (name, is_missing) = (layer["layer"].as_str().expect("a name"), layer["state"] == "unavailable");
        if is_missing {
            let said = site.anneal(&["provide", "--require", name]).failure(1).stderr();
            assert!(
                said.contains(&format!("the layer {name} is missing")) && said.contains("require"),
                "{said}"
            );
        }
    }
    assert!(layers.len() == 8, "{doctor}");
    let said = site.anneal(&["provide", "--require", "moat"]).failure(2).stderr();
    assert!(said.contains("moat") && said.contains("system-calls"), "{said}");
    let _provider = site.provide("provider.log");
    site.status("provider.log");
}

#[test]
fn a_service_is_written_shown_and_removed() {
    let folder = scratch();
    let place = folder.path().join("provider");
    let anneal = |arguments: &[&str]| {
        let mut command = command();
        command.args(arguments).arg("--folder").arg(&place).env_remove("ANNEAL_COORDINATOR");
        // No user manager of systemd is asked: the unit would be started.
        command.env("XDG_CONFIG_HOME", folder.path().join("config")).env("PATH", folder.path());
        finish(command)
    };
    let said = anneal(&["service", "install"]).failure(2).stderr();
    assert!(said.contains("anneal setup"), "{said}");
    let url = "http://127.0.0.1:1";
    anneal(&["setup", "--no-payout", "--limits", "laptop", "--coordinator", url]).success();
    let installed = anneal(&["service", "install", "--json"]).success().json();
    let unit = PathBuf::from(installed["unit"].as_str().expect("a path"));
    assert!(unit.starts_with(folder.path()) && unit.is_file(), "{installed}");
    assert_eq!(installed["to_run"][1], "systemctl --user enable --now anneal.service", "{installed}");
    let text = fs::read_to_string(&unit).expect("written");
    assert!(text.contains(&format!("provide --folder \"{}\"", place.display())), "{text}");
    assert!(anneal(&["service", "show"]).success().stdout().contains("KillMode=mixed"));
    let removed = anneal(&["service", "remove", "--json"]).success().json();
    assert_eq!(removed["installed"], false, "{removed}");
    assert!(!unit.exists());
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("written");
}

/// In a real browser: what an owner sees, on a screen and on a phone, light and dark. Pictures go to target/pages.
#[cfg(feature = "chromium")]
#[test]
fn a_browser_shows_the_owners_page() {
    let site = Site::start();
    site.set_up(&[]);
    let _provider = site.provide("page.log");
    let link = site.status("page.log")["page"].as_str().expect("a page").to_owned();
    let pictures = anneal_tests::workspace().join("target/pages");
    fs::create_dir_all(&pictures).expect("a folder");
    let browse = |what: &str, link: &str, size: &str, look: u32| {
        let mut command = std::process::Command::new("chromium");
        command.args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--no-first-run",
        ]);
        command.arg(format!("--user-data-dir={}", site.folder.path().join("browser").display()));
        command.arg(format!("--window-size={size}"));
        command.arg(format!("--blink-settings=preferredColorScheme={look}"));
        command.args(["--virtual-time-budget=4000", what]).arg(link);
        let done = command.output().expect("chromium is installed: run `tests/setup tests`");
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    for (name, size, look) in [("owner-light", "1200,900", 1), ("owner-dark-phone", "390,844", 0)] {
        browse(
            &format!("--screenshot={}", pictures.join(format!("{name}.png")).display()),
            &link,
            size,
            look,
        );
        let shown = browse("--dump-dom", &link, size, look);
        for words in ["Takes work.", std::env::consts::ARCH, "Limits: ", "aria-pressed=\"true\"", &site.url] {
            assert!(shown.contains(words), "{name} lacks {words}: {shown}");
        }
    }
    let bare = link.split_once('#').expect("a token").0;
    let shown = browse("--dump-dom", bare, "1200,900", 1);
    assert!(shown.contains("token-wrong") && !shown.contains(&site.url), "{shown}");
}

/// Names and words of strangers, long, turned and hidden: nothing of them is in the page raw, and it is no wider than
/// its window.
#[cfg(feature = "chromium")]
#[test]
fn no_name_breaks_the_owners_page() {
    use anneal_tests::browser::{hostile_names, page_with, shown_by_browser, widths};

    let site = Site::start();
    site.set_up(&[]);
    let _provider = site.provide("page.log");
    let status = site.status("page.log");
    let address = status["page"].as_str().expect("a page").split('/').nth(2).expect("an address").to_owned();
    let file = |path: &str| {
        let address = address.parse().expect("an address");
        anneal_tests::network::get(address, path).expect("it answers").1
    };
    let index = file("/");
    for name in hostile_names() {
        let mut status = status.clone();
        let known = &mut status["coordinators"][0];
        for key in ["coordinator", "trouble", "identity"] {
            known[key] = Value::from(name.as_str());
        }
        known["lines"] = vec![name.as_str(); 3].into();
        for device in known["devices"].as_object_mut().expect("devices").values_mut() {
            device["name"] = Value::from(name.as_str());
            device["no_lease"] = Value::from(name.as_str());
            device["limits"] = serde_json::json!({ "doing": name, "reasons": [name], "duty": 0.5 });
        }
        let html = page_with(&index, file, &serde_json::json!({ "/v1/status": status }));
        for size in ["1200,900", "500,844"] {
            let shown = shown_by_browser(site.folder.path(), &html, "", size);
            let (content, window) = widths(&shown);
            assert!(content <= window, "at {size} with {name:?} it is {content} of {window} wide");
            for line in shown.lines() {
                assert_eq!(anneal_job::shown(line), line, "with {name:?}");
            }
            assert!(!shown.contains("<img"), "with {name:?}: {shown}");
        }
    }
}
