//! The processes: this program plays the compiling process, the worker, and workers that go wrong or are
//! malicious, and watches itself do so. Without libtest, whose words on stdout are not the protocol's.
//!
//! `ANNEAL_CGROUP` names folders of the control group tree, with colons between them, in which the tests may
//! make groups; without it the layer of control groups is named as not shown.
#![expect(clippy::print_stdout, reason = "a test's program says what it did")]

#[cfg(target_os = "linux")]
#[path = "processes/escapes.rs"]
mod escapes;
#[cfg(target_os = "linux")]
#[path = "processes/held.rs"]
mod held;
#[path = "hostile/guests.rs"]
mod hostile;
#[cfg(target_os = "linux")]
#[path = "processes/malice.rs"]
mod malice;
#[path = "processes/modes.rs"]
mod modes;
#[path = "../src/testing.rs"]
mod testing;

use std::{
    ffi::OsString,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anneal_job::{FailureCode, FaultCode, Limits, Outcome, Task, Versions};
use anneal_sandbox::{
    AttemptRequest, BackendRequest, Event, InProcessMachine, Machine, PaceHandle, StopFlag, Trace, VERSIONS,
    WorkerMachine,
    compile::{self, CompileError, CompileLimits},
    confine::{Confinement, GroupFolders},
    worker,
};
use anneal_tensor::{DeviceInfo, Duty, Elements, Executor, ExecutorError, Pace, Tensor, Value};
use testing::{guest, reference, task};

const FOREVER: &str = "(loop $forever (br $forever)) (unreachable)";
type Check = fn(&Scene);
const CHECKS: [(&str, Check); 19] = [
    ("a component is compiled once, by another process", compiled_once),
    ("code planted in the cache is compiled anew", planted),
    ("a refusal crosses the process", refused),
    ("a compiler that takes too long is given up", compiler_over_time),
    ("a worker gives what this process gives", worker_agrees),
    ("a worker runs no task of other versions", other_versions),
    ("a guest's failure crosses the process", failure_crosses),
    ("a worker is stopped", stopped),
    ("a worker that hangs is killed", hanging),
    ("a worker that is held is stopped, and gives the same when it is not", governed),
    ("a worker whose parent falls silent pauses until it hears it again", silent_parent),
    ("a worker that crashes is a host's fault", crashing),
    ("a worker that babbles is a host's fault", babbling),
    ("a device that is lost costs an attempt, and the next worker works", device_lost),
    ("a mode that a call of the host leaves is a host's fault", modes::left_by_a_call),
    ("a mode that the compiler leaves is this machine's fault", modes::left_by_the_compiler),
    ("a mode that is there before a worker's threads is a host's fault", modes::there_before),
    ("every hostile guest ends as it must", hostile::all_end_as_they_must),
    ("no random guest panics, hangs or leaks", hostile::smith::none_panics_or_hangs),
];
#[cfg(target_os = "linux")]
const CONFINED: [(&str, Check); 10] = [
    ("a malicious worker is stopped by all layers and by each", escapes::malicious_worker),
    ("a malicious compiling process is stopped by all layers and by each", escapes::malicious_compiler),
    ("below what is insisted on, nothing is done", escapes::insisted),
    ("a confined worker ends with its parent", escapes::ends_with_parent),
    ("a worker that does not say how it is confined is not believed", escapes::silent),
    ("a worker that holds itself to nothing is stopped, and goes on", held::stopped_and_goes_on),
    ("a worker that is stopped ends at once", held::stopped_and_ends),
    ("a worker that is stopped ends with its parent", held::ends_with_its_parent),
    ("a worker on a GPU that does not stand is ended, and one that does is not", held::on_a_gpu),
    ("a compiling process is held to a pace", held::compiling),
];
#[cfg(not(target_os = "linux"))]
const CONFINED: [(&str, Check); 0] = [];

fn main() -> ExitCode {
    let role = std::env::args().nth(1).unwrap_or_default();
    match role.as_str() {
        "compile" => compile::serve(),
        other if other.starts_with("compile in mode ") => {
            compile::serve_with(|_| modes::compile(&other["compile in mode ".len()..]))
        }
        #[cfg(target_os = "linux")]
        "compile slowly" => compile::serve_with(held::compile_slowly),
        #[cfg(target_os = "linux")]
        "orphan" => held::orphan(),
        #[cfg(target_os = "linux")]
        "compile malice" => compile::serve_with(|target| {
            Err(CompileError::Invalid(malice::make(&String::from_utf8_lossy(target))))
        }),
        "worker" => worker::serve(|request| match request.backend.as_str() {
            "reference" => Ok(reference()),
            "noisy" => {
                println!("a driver prints to stdout");
                Ok(reference())
            }
            "lost" => Ok(Box::new(LostDevice(reference().device().clone()))),
            "crash" => std::process::abort(),
            #[cfg(target_os = "linux")]
            "spin" => Ok(held::Spinning::executor()),
            other if other.starts_with("mode ") => modes::executor(&other["mode ".len()..]),
            "hang" => loop {
                std::thread::sleep(Duration::from_secs(1));
            },
            #[cfg(target_os = "linux")]
            "death signal" => Err(format!("{:?}", rustix::process::parent_process_death_signal())),
            #[cfg(target_os = "linux")]
            other if other.starts_with("malice ") => Err(malice::make(&other["malice ".len()..])),
            other => Err(format!("there is no backend {other}")),
        }),
        "mute" => mute(),
        "guests" => {
            let number = |at: usize, default: u64| {
                std::env::args().nth(at).map_or(default, |text| text.parse().expect("a number"))
            };
            hostile::smith::soak(number(2, 20_000), number(3, 1));
            ExitCode::SUCCESS
        }
        "nothing" => ExitCode::SUCCESS,
        "silent" => {
            println!("{}", serde_json::json!({"outcome": completed()}));
            ExitCode::SUCCESS
        }
        "babble" => {
            println!("hello");
            ExitCode::SUCCESS
        }
        _ => {
            // The harness of cargo's gives a filter as the first argument.
            let chosen = |(name, _): &(&str, Check)| name.contains(&*role);
            for (name, check) in CHECKS.into_iter().chain(CONFINED).filter(chosen) {
                check(&Scene::new());
                println!("test {name} ... ok");
            }
            ExitCode::SUCCESS
        }
    }
}

/// What a worker would say that had computed something.
fn completed() -> Outcome {
    let digest = anneal_job::Digest::of(b"made up");
    let completed =
        anneal_job::Completed { result: digest, state: digest, metrics: Vec::new(), gas: 1, steps: 1 };
    Outcome::Completed(completed)
}

/// A folder of a check's own.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Scene {
        Scene { folder: tempfile::tempdir().expect("there is room for a folder") }
    }

    fn write(&self, component: &[u8]) -> PathBuf {
        let path = self.folder.path().join("component.wasm");
        std::fs::write(&path, component).expect("the component is written");
        path
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn request(&self, component: &[u8], limits: Limits) -> AttemptRequest {
        let compiled =
            compile::run(&command("compile"), &self.write(component), &self.cache(), CompileLimits::DEFAULT)
                .expect("the component compiles");
        AttemptRequest {
            task: task(component, limits),
            component: compiled.path,
            inputs: None,
            states: Vec::new(),
            output: Some(self.folder.path().join("state.safetensors")),
            time: Duration::from_secs(60),
            trace: Trace::Off,
            stop: StopFlag::default(),
            pace: None,
        }
    }
}

fn command(role: &str) -> Vec<OsString> {
    let this = std::env::current_exe().expect("a program knows its own path");
    vec![this.into_os_string(), role.into()]
}

fn machine(role: &str, backend: &str) -> WorkerMachine {
    WorkerMachine {
        name: backend.to_owned(),
        command: command(role),
        environment: Vec::new(),
        backend: BackendRequest { backend: backend.to_owned(), threads: None, ..BackendRequest::default() },
        memory_bytes: Some(4 << 30),
        gpu: false,
        hardware: false,
        confinement: Confinement::default(),
        groups: GroupFolders::default(),
        shaders: None,
    }
}

fn attempt(machine: &mut dyn Machine, request: &AttemptRequest) -> (Outcome, Vec<Event>) {
    let mut events = Vec::new();
    let outcome = machine.attempt(request, &mut |event| events.push(event));
    (outcome, events)
}

#[track_caller]
fn check_fault(machine: &mut dyn Machine, request: &AttemptRequest, code: FaultCode, words: &str) {
    match attempt(machine, request).0 {
        Outcome::HostFault(fault) => {
            assert_eq!(fault.code, code, "{}", fault.message);
            assert!(fault.message.contains(words), "\"{}\" does not say \"{words}\"", fault.message);
        }
        other => panic!("expected {code:?}, got {other:?}"),
    }
}

fn compiled_once(scene: &Scene) {
    let component = scene.write(&guest("(i32.const 0)", ""));
    let run =
        |command: &[OsString]| compile::run(command, &component, &scene.cache(), CompileLimits::DEFAULT);
    let first = run(&command("compile")).expect("it compiles");
    let second = run(&["/nowhere".into()]).expect("it was compiled before");
    assert_eq!(first, second);
    // Code that was touched is not trusted.
    let mut code = std::fs::read(&first.path).expect("the code is there");
    code[1000] ^= 1;
    std::fs::write(&first.path, code).expect("the code is written");
    assert!(matches!(run(&["/nowhere".into()]), Err(CompileError::Process(_))));
}

/// A stranger's code under a component's name, with a note that fits it in everything but the seal.
fn planted(scene: &Scene) {
    let (honest, evil) = (guest("(i32.const 0)", ""), guest("(unreachable)", ""));
    let run = |bytes: &[u8], cache: &Path| {
        compile::run(&command("compile"), &scene.write(bytes), cache, CompileLimits::DEFAULT)
            .expect("it compiles")
            .path
    };
    let elsewhere = scene.folder.path().join("elsewhere");
    let (mine, theirs) = (run(&honest, &scene.cache()), run(&evil, &elsewhere));
    let code = std::fs::read(&mine).expect("the code is there");
    let note = |path: &Path| std::fs::read_to_string(path.with_extension("json")).expect("the note is there");
    // The seal of another host's key, over the code that it belongs to.
    let (own, other): (serde_json::Value, serde_json::Value) = (
        serde_json::from_str(&note(&mine)).expect("it is JSON"),
        serde_json::from_str(&note(&theirs)).expect("it is JSON"),
    );
    let forged = serde_json::json!({"info": own["info"], "seal": other["seal"]});
    let plant = |note: &serde_json::Value, from: &Path| {
        std::fs::copy(from, &mine).expect("the cache is ours");
        std::fs::write(mine.with_extension("json"), note.to_string()).expect("the cache is ours");
    };
    for (note, from) in [(&forged, &theirs), (&own, &theirs)] {
        plant(note, from);
        assert_eq!(run(&honest, &scene.cache()), mine);
        assert_eq!(std::fs::read(&mine).expect("the code is there"), code, "planted code was kept");
    }
    // A whole entry of this host's own, under another component's name.
    let other = run(&evil, &scene.cache());
    plant(&serde_json::from_str(&note(&other)).expect("it is JSON"), &other);
    run(&honest, &scene.cache());
    assert_eq!(std::fs::read(&mine).expect("the code is there"), code, "another's code was taken");
}

fn device_lost(scene: &Scene) {
    let exp = "(call $full (i32.const 0) (i32.const 0) (i32.const 0) (f64.const 1) (i32.const 2048)) \
               (call $commit (i32.const 2052) (i32.const 1) (i32.const 2060)) (i32.const 0)";
    let request = scene.request(&guest(exp, ""), Limits::DEFAULT);
    let mut machine = machine("worker", "lost");
    check_fault(&mut machine, &request, FaultCode::DeviceLost, "fell off the bus");
    machine.backend.backend = "reference".to_owned();
    let outcome = attempt(&mut machine, &request).0;
    assert!(matches!(outcome, Outcome::Completed(_)), "{outcome:?}");
}

/// A device that is gone when it is first used.
struct LostDevice(DeviceInfo);

impl Executor for LostDevice {
    fn device(&self) -> &DeviceInfo {
        &self.0
    }

    fn evaluate(&mut self, _targets: &[Tensor]) -> Result<Vec<Value>, ExecutorError> {
        Err(ExecutorError::DeviceLost("it fell off the bus".to_owned()))
    }

    fn read(&mut self, _value: &Value) -> Result<Arc<Elements>, ExecutorError> {
        Err(ExecutorError::DeviceLost("it fell off the bus".to_owned()))
    }
}

fn refused(scene: &Scene) {
    let component = scene.write(b"text");
    let compiled = compile::run(&command("compile"), &component, &scene.cache(), CompileLimits::DEFAULT);
    let message = compiled.expect_err("text is no component").to_string();
    assert!(message.contains("it is text"), "{message}");
}

fn compiler_over_time(scene: &Scene) {
    let component = scene.write(&guest("(i32.const 0)", ""));
    let limits = CompileLimits { time: Duration::from_millis(1), ..CompileLimits::DEFAULT };
    let compiled = compile::run(&command("compile"), &component, &scene.cache(), limits);
    assert!(matches!(compiled, Err(CompileError::Limits(_))), "{compiled:?}");
    let limits = CompileLimits { memory_bytes: 16 << 20, ..CompileLimits::DEFAULT };
    let compiled = compile::run(&command("compile"), &component, &scene.cache(), limits);
    let given_up = matches!(
        compiled,
        // With so little memory there may not even be a thread to compile with.
        Err(CompileError::Limits(_) | CompileError::Process(_) | CompileError::Engine(_))
    );
    assert!(given_up, "{compiled:?}");
}

fn worker_agrees(scene: &Scene) {
    let metric = "(call $metric (i32.const 1024) (i32.const 4) (i64.const 3) (f64.const 0.1)) (i32.const 0)";
    let request = scene.request(&guest(metric, "loss"), Limits::DEFAULT);
    let here = attempt(&mut InProcessMachine::new("here", reference()), &request);
    assert!(matches!(here.0, Outcome::Completed(_)), "{here:?}");
    assert_eq!(here.1.len(), 1);
    assert_eq!(attempt(&mut machine("worker", "reference"), &request), here);
    assert_eq!(attempt(&mut machine("worker", "noisy"), &request), here);
    assert!(Path::new(request.output.as_ref().expect("it was asked for")).exists());
    check_fault(&mut machine("worker", "abacus"), &request, FaultCode::DeviceLost, "no backend abacus");
    let other = Task { states: vec![request.task.component], ..request.task.clone() };
    let request = AttemptRequest { task: other, ..request };
    check_fault(&mut machine("worker", "reference"), &request, FaultCode::Io, "names 1 states");
}

fn other_versions(scene: &Scene) {
    let request = scene.request(&guest("(i32.const 0)", ""), Limits::DEFAULT);
    let versions = Versions { numerics: VERSIONS.numerics + 1, ..VERSIONS };
    // Its files may not be what this version calls files: the versions are looked at first.
    let task = Task { versions, states: vec![request.task.component], ..request.task.clone() };
    let request = AttemptRequest { task, states: vec!["/nowhere".into()], ..request };
    let output = request.output.clone().expect("it was asked for");
    for machine in [
        &mut machine("worker", "reference") as &mut dyn Machine,
        &mut InProcessMachine::new("here", reference()),
    ] {
        check_fault(machine, &request, FaultCode::Versions, &versions.to_string());
        assert!(!output.exists());
    }
}

fn failure_crosses(scene: &Scene) {
    let limits = Limits { gas: 10_000, ..Limits::DEFAULT };
    let request = scene.request(&guest(FOREVER, ""), limits);
    let outcome = attempt(&mut machine("worker", "reference"), &request).0;
    assert!(matches!(outcome, Outcome::GuestFailure(failure) if failure.code == FailureCode::Gas));
}

fn endless(scene: &Scene) -> AttemptRequest {
    scene.request(&guest(FOREVER, ""), Limits { gas: u64::MAX / 2, ..Limits::DEFAULT })
}

fn stopped(scene: &Scene) {
    let request = endless(scene);
    let stop = request.stop.clone();
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        stop.stop();
    });
    check_fault(&mut machine("worker", "reference"), &request, FaultCode::WorkerDied, "stopped");
    later.join().expect("the stopping thread ends");
    let request = AttemptRequest { time: Duration::from_millis(200), stop: StopFlag::default(), ..request };
    check_fault(&mut machine("worker", "reference"), &request, FaultCode::TimeOut, "longer than");
}

fn governed(scene: &Scene) {
    let metric = "(call $metric (i32.const 1024) (i32.const 4) (i64.const 3) (f64.const 0.1)) (i32.const 0)";
    let request = scene.request(&guest(metric, "loss"), Limits::DEFAULT);
    let expected = attempt(&mut InProcessMachine::new("here", reference()), &request).0;
    let slow = Pace::Run { duty: Duty::of_fraction(0.1) };
    for pace in [Pace::FULL, slow] {
        let request = AttemptRequest { pace: Some(PaceHandle::new(pace)), ..request.clone() };
        let (outcome, events) = attempt(&mut machine("worker", "reference"), &request);
        assert_eq!(outcome, expected);
        let per_mille =
            |event: &Event| matches!(event, Event::Paced(told) if told.per_mille == pace.per_mille());
        assert!(events.iter().any(per_mille), "{events:?}");
    }
    // One that is never allowed to begin ends when it is stopped.
    let request = AttemptRequest { pace: Some(PaceHandle::new(Pace::Pause)), ..endless(scene) };
    request.stop.stop();
    check_fault(&mut machine("worker", "reference"), &request, FaultCode::WorkerDied, "stopped");
}

fn silent_parent(scene: &Scene) {
    let request = AttemptRequest { pace: Some(PaceHandle::default()), ..endless(scene) };
    let mut told = Vec::new();
    let outcome = machine("mute", "reference").attempt(&request, &mut |event| {
        let Event::Paced(report) = event else { return };
        told.push(report);
        // It was heard, it was not, and it is heard again.
        let mut unheard = told.iter().map(|report| report.unheard).collect::<Vec<_>>();
        unheard.dedup();
        if unheard.ends_with(&[false, true, false]) {
            request.stop.stop();
        }
    });
    assert!(
        matches!(&outcome, Outcome::HostFault(fault) if fault.message.contains("stopped")),
        "{outcome:?}"
    );
    let paused = told.iter().find(|report| report.unheard).expect("it fell silent");
    assert_eq!(paused.per_mille, 0);
    let last = told.last().expect("it says how it was held");
    assert!(last.holds == 1 && last.per_mille == 1000, "{told:?}");
}

/// Stands between a worker and its parent, and keeps the parent's words after the first to itself until the
/// worker says that it hears none.
fn mute() -> ExitCode {
    let this = std::env::current_exe().expect("a program knows its own path");
    let mut worker = Command::new(this)
        .arg("worker")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the worker starts");
    let mut to_worker = worker.stdin.take().expect("it is piped");
    let from_worker = BufReader::new(worker.stdout.take().expect("it is piped"));
    let is_unheard = Arc::new(AtomicBool::new(false));
    let was_unheard = Arc::clone(&is_unheard);
    std::thread::spawn(move || {
        for (number, line) in std::io::stdin().lines().enumerate() {
            let line = line.expect("words are text");
            if number < 2 || is_unheard.load(Ordering::Relaxed) {
                writeln!(to_worker, "{line}").expect("the worker listens");
            }
        }
    });
    for line in from_worker.lines() {
        let line = line.expect("answers are text");
        println!("{line}");
        if line.contains("\"unheard\":true") {
            was_unheard.store(true, Ordering::Relaxed);
        }
    }
    worker.wait().map_or(ExitCode::FAILURE, |_| ExitCode::SUCCESS)
}

fn hanging(scene: &Scene) {
    let request = endless(scene);
    request.stop.stop();
    let started = Instant::now();
    check_fault(&mut machine("worker", "hang"), &request, FaultCode::WorkerDied, "did not stop by itself");
    assert!(started.elapsed() < Duration::from_secs(10));
}

fn crashing(scene: &Scene) {
    check_fault(&mut machine("worker", "crash"), &endless(scene), FaultCode::WorkerDied, "signal 6");
    let missing = &mut WorkerMachine { command: vec!["/nowhere".into()], ..machine("worker", "reference") };
    check_fault(missing, &endless(scene), FaultCode::WorkerDied, "/nowhere cannot be started");
}

fn babbling(scene: &Scene) {
    check_fault(&mut machine("babble", "reference"), &endless(scene), FaultCode::Internal, "nonsense");
}
