//! Processes that do not hold themselves to their pace, and the parent that does: what the kernel says of them is what
//! counts here, not what they say.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, ExitCode, Stdio},
    sync::{Arc, mpsc},
    thread,
    time::{Duration, Instant},
};

use anneal_job::{FaultCode, HostFault, Limits, Outcome};
use anneal_sandbox::{
    AttemptRequest, Event, InProcessMachine, Machine, PaceHandle, StopFlag, WorkerMachine,
    admission::ComponentInfo,
    compile::{self, CompileError, CompileLimits},
};
use anneal_tensor::{DeviceInfo, Elements, Executor, ExecutorError, Pace, Tensor, Value};

use crate::{Scene, attempt, command, guest, machine, reference};

/// Commits a tensor, so that the executor is asked.
const COMMITS: &str = "(call $full (i32.const 0) (i32.const 0) (i32.const 0) (f64.const 1) (i32.const 2048)) \
                       (call $commit (i32.const 2052) (i32.const 1) (i32.const 2060)) (i32.const 0)";
/// How long one call takes.
const CALL: Duration = Duration::from_secs(3);
/// The wall-clock time of an attempt, and how long it is stopped for: it must not count.
const ATTEMPT: Duration = Duration::from_secs(12);
const STOPPED: Duration = Duration::from_secs(13);
/// Nothing here takes so long; what hangs shall say where.
const PATIENCE: Duration = Duration::from_secs(60);

/// An executor that burns a processor in one call, and asks nobody.
pub struct Spinning(Box<dyn Executor>);

impl Spinning {
    pub fn executor() -> Box<dyn Executor> {
        Box::new(Spinning(reference()))
    }
}

fn spin() {
    let began = Instant::now();
    while began.elapsed() < CALL {
        std::hint::spin_loop();
    }
}

impl Executor for Spinning {
    fn device(&self) -> &DeviceInfo {
        self.0.device()
    }

    fn evaluate(&mut self, targets: &[Tensor]) -> Result<Vec<Value>, ExecutorError> {
        spin();
        self.0.evaluate(targets)
    }

    fn read(&mut self, value: &Value) -> Result<Arc<Elements>, ExecutorError> {
        self.0.read(value)
    }
}

/// A compiler that takes as long.
pub fn compile_slowly(_component: &[u8]) -> Result<(ComponentInfo, Vec<u8>), CompileError> {
    spin();
    Err(CompileError::Invalid("it was compiled slowly".to_owned()))
}

/// What the kernel says of a process: its state, and hundredths of a second of processor time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Known {
    state: char,
    processor: u64,
}

impl Known {
    fn of(process: u32) -> Option<Known> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        let words: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |at: usize| words.get(at)?.parse::<u64>().ok();
        Some(Known { state: words.first()?.chars().next()?, processor: number(11)? + number(12)? })
    }

    fn is_dead(known: Option<Known>) -> bool {
        known.is_none_or(|known| matches!(known.state, 'Z' | 'X'))
    }
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited too long for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The child of this process that plays this role.
fn child(role: &str) -> Option<u32> {
    let threads = fs::read_dir("/proc/self/task").ok()?.flatten();
    let lists = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let children: Vec<u32> = lists
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<_>>())
        .collect();
    children.into_iter().find(|id| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).nth(1) == Some(role.as_bytes())
    })
}

/// The child, once it burns.
fn burning(role: &str) -> u32 {
    wait_for("a process that burns", || {
        child(role).filter(|id| Known::of(*id).is_some_and(|it| it.processor > 30))
    })
}

/// All threads of it: each stops for itself.
fn is_stopped(process: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let stats = threads.filter_map(|thread| fs::read_to_string(thread.path().join("stat")).ok());
    let states: Vec<bool> =
        stats.filter_map(|stat| Some(stat.rsplit_once(')')?.1.trim_start().starts_with('T'))).collect();
    !states.is_empty() && states.iter().all(|is_stopped| *is_stopped)
}

/// Pauses, and waits until the kernel says that the process is stopped.
fn pause(process: u32, pace: &PaceHandle) -> Known {
    let told = Instant::now();
    pace.set(Pace::Pause);
    // Read once it is stopped: it cannot change any more.
    let stopped = wait_for("a stop", || Known::of(process).filter(|_| is_stopped(process)));
    println!("  stopped {:.2} s after the pause was set", told.elapsed().as_secs_f64());
    stopped
}

/// An attempt on a thread of its own, at a pace.
fn begin(
    mut machine: WorkerMachine,
    request: &AttemptRequest,
) -> (PaceHandle, StopFlag, thread::JoinHandle<Outcome>) {
    let (pace, stop) = (PaceHandle::default(), StopFlag::default());
    let request = AttemptRequest { pace: Some(pace.clone()), stop: stop.clone(), ..request.clone() };
    let running = thread::spawn(move || machine.attempt(&request, &mut |_| {}));
    (pace, stop, running)
}

pub fn stopped_and_goes_on(scene: &Scene) {
    let request = AttemptRequest { time: ATTEMPT, ..scene.request(&guest(COMMITS, ""), Limits::DEFAULT) };
    let expected = attempt(&mut InProcessMachine::new("here", reference()), &request).0;
    let (pace, _, running) = begin(machine("worker", "spin"), &request);
    let worker = burning("worker");
    let stopped = pause(worker, &pace);
    let began = Instant::now();
    while began.elapsed() < STOPPED {
        assert_eq!(Known::of(worker), Some(stopped), "it used the processor, or ended");
        thread::sleep(Duration::from_millis(200));
    }
    pace.set(Pace::FULL);
    assert_eq!(running.join().expect("it does not panic"), expected);
}

pub fn stopped_and_ends(scene: &Scene) {
    let request = scene.request(&guest(COMMITS, ""), Limits::DEFAULT);
    let (pace, stop, running) = begin(machine("worker", "spin"), &request);
    let worker = burning("worker");
    pause(worker, &pace);
    stop.stop();
    let outcome = running.join().expect("it does not panic");
    let is_stopped = matches!(&outcome, Outcome::HostFault(HostFault { code: FaultCode::WorkerDied, message })
        if message == "the attempt was stopped");
    assert!(is_stopped, "{outcome:?}");
    assert!(Known::is_dead(Known::of(worker)), "it is left behind");
}

/// The parent is another process, which is killed.
pub fn ends_with_its_parent(_scene: &Scene) {
    let this = command("orphan");
    let mut parent = Command::new(&this[0])
        .arg(&this[1])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program starts");
    let mut said = String::new();
    let mut lines = BufReader::new(parent.stdout.take().expect("it is piped"));
    while !said.trim().bytes().all(|byte| byte.is_ascii_digit()) || said.is_empty() {
        said.clear();
        assert_ne!(lines.read_line(&mut said).expect("it speaks"), 0, "it ended");
    }
    let worker: u32 = said.trim().parse().expect("a number");
    assert_eq!(Known::of(worker).map(|it| it.state), Some('T'));
    parent.kill().expect("a child is killed");
    parent.wait().expect("a child ends");
    wait_for("the worker's end", || Known::is_dead(Known::of(worker)).then_some(()));
}

/// Says its worker's number once that is stopped, and is killed then.
pub fn orphan() -> ExitCode {
    let scene = Scene::new();
    let request = scene.request(&guest(COMMITS, ""), Limits::DEFAULT);
    let (pace, _, running) = begin(machine("worker", "spin"), &request);
    let worker = burning("worker");
    pause(worker, &pace);
    println!("{worker}");
    let outcome = running.join().expect("it does not panic");
    panic!("nobody killed this process: {outcome:?}");
}

pub fn on_a_gpu(scene: &Scene) {
    let on_hardware = |backend| WorkerMachine { hardware: true, ..machine("worker", backend) };
    // What was handed to a device goes on, so its worker does not stay.
    let request = scene.request(&guest(COMMITS, ""), Limits::DEFAULT);
    let (pace, _, running) = begin(on_hardware("spin"), &request);
    let worker = burning("worker");
    pace.set(Pace::Pause);
    let outcome = running.join().expect("it does not panic");
    assert!(matches!(&outcome, Outcome::HostFault(HostFault { code: FaultCode::Held, .. })), "{outcome:?}");
    assert!(Known::is_dead(Known::of(worker)), "it is left behind");

    // One that stands says so, and is kept for as long as the pause lasts.
    let request = crate::endless(scene);
    let (pace, stop) = (PaceHandle::default(), StopFlag::default());
    let (tell, told) = mpsc::channel();
    let running = thread::spawn({
        let request = AttemptRequest { pace: Some(pace.clone()), stop: stop.clone(), ..request };
        let mut machine = on_hardware("reference");
        move || {
            machine.attempt(&request, &mut |event| {
                if let Event::Paced(report) = event {
                    let _nobody_listens = tell.send(report);
                }
            })
        }
    });
    told.recv_timeout(PATIENCE).expect("it says how it is held");
    pace.set(Pace::Pause);
    let mut held_ms = 0;
    // Longer than one that does not stand may take.
    while held_ms < 4000 {
        let report = told.recv_timeout(PATIENCE).expect("it says how it is held");
        if report.per_mille == 0 && report.stands {
            held_ms = report.held_ms;
        }
    }
    stop.stop();
    let outcome = running.join().expect("it does not panic");
    assert!(
        matches!(&outcome, Outcome::HostFault(HostFault { code: FaultCode::WorkerDied, .. })),
        "{outcome:?}"
    );
}

pub fn compiling(scene: &Scene) {
    let begin = |pace: &PaceHandle, stop: &StopFlag| {
        let component = scene.write(&guest("(i32.const 0)", ""));
        let (cache, pace, stop) = (scene.cache(), pace.clone(), stop.clone());
        thread::spawn(move || {
            let limits = CompileLimits { time: ATTEMPT, ..CompileLimits::DEFAULT };
            let governed = Some((&pace, &stop));
            compile::run_governed(&command("compile slowly"), Path::new(&component), &cache, limits, governed)
        })
    };
    let (pace, stop) = (PaceHandle::default(), StopFlag::default());
    let running = begin(&pace, &stop);
    let compiler = burning("compile slowly");
    let stopped = pause(compiler, &pace);
    let began = Instant::now();
    while began.elapsed() < STOPPED {
        assert_eq!(Known::of(compiler), Some(stopped), "it used the processor, or ended");
        thread::sleep(Duration::from_millis(200));
    }
    pace.set(Pace::FULL);
    let compiled = running.join().expect("it does not panic");
    assert!(
        matches!(&compiled, Err(CompileError::Refused(message)) if message.contains("slowly")),
        "{compiled:?}"
    );
    let running = begin(&pace, &stop);
    let compiler = burning("compile slowly");
    pause(compiler, &pace);
    stop.stop();
    let compiled = running.join().expect("it does not panic");
    assert!(matches!(compiled, Err(CompileError::Stopped)), "{compiled:?}");
    assert!(Known::is_dead(Known::of(compiler)), "it is left behind");
}
