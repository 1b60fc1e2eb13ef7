//! What a library does that changes the floating-point mode of threads: no result ever comes of it, and the fault names
//! the call.

use std::{path::Path, process::Command, sync::Arc};

use anneal_job::{FaultCode, Limits, Outcome};
use anneal_sandbox::{
    AttemptRequest, BackendRequest, InProcessMachine, Machine, WorkerMachine,
    admission::ComponentInfo,
    compile::{self, CompileError, CompileLimits},
    confine::{Confinement, Layer, Requirement},
};
use anneal_tensor::{DeviceInfo, Elements, Executor, ExecutorError, FloatMode, Tensor, Value, float_mode};

use crate::{Scene, attempt, check_fault, command, guest, machine, reference};

/// Commits a tensor, so that the executor is asked.
const COMMITS: &str = "(call $full (i32.const 0) (i32.const 0) (i32.const 0) (f64.const 1) (i32.const 2048)) \
                       (call $commit (i32.const 2052) (i32.const 1) (i32.const 2060)) (i32.const 0)";

/// An executor that computes as it must, and leaves a mode behind.
struct Leaving {
    inner: Box<dyn Executor>,
    mode: FloatMode,
}

/// `made` or `asked`, and the mode's place among those that there are.
pub fn executor(text: &str) -> Result<Box<dyn Executor>, String> {
    let (when, number) = text.split_once(' ').expect("two words");
    let number: usize = number.parse().expect("a number");
    let mode = FloatMode::others_for_tests().nth(number).expect("there is such a mode");
    if when == "made" {
        mode.set_for_tests();
        return Ok(reference());
    }
    Ok(Box::new(Leaving { inner: reference(), mode }))
}

impl Executor for Leaving {
    fn device(&self) -> &DeviceInfo {
        self.inner.device()
    }

    fn evaluate(&mut self, targets: &[Tensor]) -> Result<Vec<Value>, ExecutorError> {
        let values = self.inner.evaluate(targets);
        self.mode.set_for_tests();
        values
    }

    fn read(&mut self, value: &Value) -> Result<Arc<Elements>, ExecutorError> {
        self.inner.read(value)
    }
}

fn worker(backend: &str) -> WorkerMachine {
    WorkerMachine {
        backend: BackendRequest { backend: backend.to_owned(), ..BackendRequest::default() },
        ..machine("worker", "reference")
    }
}

pub fn left_by_a_call(scene: &Scene) {
    let request = scene.request(&guest(COMMITS, ""), Limits::DEFAULT);
    let expected = attempt(&mut InProcessMachine::new("here", reference()), &request).0;
    assert!(matches!(expected, Outcome::Completed(_)), "{expected:?}");
    for (number, mode) in FloatMode::others_for_tests().enumerate() {
        let words = format!("changed by a call of the host: {mode}");
        check_fault(&mut worker(&format!("mode asked {number}")), &request, FaultCode::FloatMode, &words);
        // In a process that goes on, the next attempt is none the worse for it.
        let leaving = Box::new(Leaving { inner: reference(), mode });
        let mut here = InProcessMachine::new("here", leaving);
        check_fault(&mut here, &request, FaultCode::FloatMode, &words);
        assert_eq!(float_mode::check("another's thread"), Ok(()));
        assert_eq!(attempt(&mut InProcessMachine::new("here", reference()), &request).0, expected);
    }
}

/// A compiler that works in a mode, on one of its threads.
pub fn compile(number: &str) -> Result<(ComponentInfo, Vec<u8>), CompileError> {
    let number: usize = number.parse().expect("a number");
    FloatMode::others_for_tests().nth(number).expect("there is such a mode").set_for_tests();
    Err(CompileError::Invalid("it was compiled otherwise".to_owned()))
}

pub fn left_by_the_compiler(scene: &Scene) {
    let component = scene.write(&guest("(i32.const 0)", ""));
    for (number, mode) in FloatMode::others_for_tests().enumerate() {
        let role = format!("compile in mode {number}");
        let compiled = compile::run(&command(&role), &component, &scene.cache(), CompileLimits::DEFAULT);
        let words = format!("changed by the compiling of a component: {mode}");
        assert!(
            matches!(&compiled, Err(CompileError::Engine(message)) if message.contains(&words)),
            "{mode}: {compiled:?}"
        );
    }
}

/// By a library that is loaded with the program, and by what makes the executor, whose thread starts the guest's.
pub fn there_before(scene: &Scene) {
    let request = scene.request(&guest(COMMITS, ""), Limits::DEFAULT);
    let library = scene.folder.path().join("mode.so");
    build(&library);
    // What lets a variable through that the kernel's own file of preloaded libraries needs not.
    let layers: Vec<Layer> = Layer::ALL.into_iter().filter(|layer| *layer != Layer::Environment).collect();
    let confinement = Confinement::only_for_tests(&layers, Requirement::BEST_EFFORT);
    let preloaded = |mode: Option<FloatMode>| WorkerMachine {
        confinement,
        environment: [
            ("LD_PRELOAD", library.to_string_lossy().into_owned()),
            ("VK_ANNEAL_TEST_CALL", "load".to_owned()),
            ("VK_ANNEAL_TEST_MODE", mode.unwrap_or(FloatMode::CANONICAL).bits().to_string()),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec(),
        ..machine("worker", "reference")
    };
    for (number, mode) in FloatMode::others_for_tests().enumerate() {
        let words = format!("changed by a library that was loaded with the program: {mode}");
        check_fault(&mut preloaded(Some(mode)), &request, FaultCode::FloatMode, &words);
        let words = format!("changed by whatever started the guest's thread: {mode}");
        check_fault(&mut worker(&format!("mode made {number}")), &request, FaultCode::FloatMode, &words);
    }
    let AttemptRequest { task, .. } = &request;
    let outcome = preloaded(None).attempt(&request, &mut |_| {});
    assert!(
        matches!(&outcome, Outcome::Completed(_)),
        "the library alone does nothing: {task:?} {outcome:?}"
    );
}

fn build(library: &Path) {
    let done = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
        .arg(library)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/src/float_mode.c"))
        .output()
        .expect("cc, which Rust links with, starts");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
