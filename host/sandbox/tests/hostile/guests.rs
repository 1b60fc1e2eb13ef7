//! Hostile guests by hand: what each is, and the one class of end that it must come to. Every one is compiled
//! by a compiling process and run by a worker process, as a stranger's would be; a panic, a hang or another end
//! than the one named fails. Not random: `smith` makes those.

mod abi;
mod binaries;
mod component;
mod contract;
mod costs;
mod handles;
mod runs;
pub mod smith;
mod wasi;

use std::{collections::BTreeMap, path::Path};

use anneal_job::{Entry, FailureCode, FaultCode, Limits, Outcome, Task};
use anneal_sandbox::{
    AttemptRequest, Inputs, NamedValue, State,
    compile::{self, CompileError, CompileLimits},
    files,
};
use anneal_tensor::{DType, Elements, Shape, Value};

use crate::{Scene, attempt, command, machine, testing::task};

/// How a hostile guest must end.
#[derive(Clone, Copy, Debug)]
pub enum End {
    /// It is never run: the compiling process refuses it in these words.
    Refused(&'static str),
    /// It runs, and fails as its own fault.
    Failure(FailureCode, &'static str),
    /// It runs, and the machine cannot answer for it.
    Fault(FaultCode),
    /// What it tried had no effect.
    Harmless,
}

/// A hostile guest.
pub struct Hostile {
    name: &'static str,
    component: Vec<u8>,
    end: End,
    entry: Entry,
    limits: Limits,
}

/// Small, so that those that run into one do so at once.
const LIMITS: Limits =
    Limits { gas: 20_000_000, memory_bytes: 4 << 20, tensor_bytes: 1 << 24, handles: 1000 };

impl Hostile {
    fn new(name: &'static str, component: Vec<u8>, end: End) -> Hostile {
        Hostile { name, component, end, entry: Entry::Run, limits: LIMITS }
    }

    fn entry(self, entry: Entry) -> Hostile {
        Hostile { entry, ..self }
    }

    fn memory(self, memory_bytes: u64) -> Hostile {
        Hostile { limits: Limits { memory_bytes, ..self.limits }, ..self }
    }

    fn gas(self, gas: u64) -> Hostile {
        Hostile { limits: Limits { gas, ..self.limits }, ..self }
    }
}

/// All of them, each ended as it must.
pub fn all_end_as_they_must(scene: &Scene) {
    let mut guests = binaries::guests();
    for more in [
        runs::guests(),
        abi::guests(),
        handles::guests(),
        contract::guests(),
        wasi::guests(),
        costs::guests(),
    ] {
        guests.extend(more);
    }
    assert!(guests.len() >= 60, "{} hostile guests", guests.len());
    let surroundings = Surroundings::new(scene);
    let mut wrong = Vec::new();
    for guest in &guests {
        if let Err(instead) = surroundings.check(scene, guest) {
            wrong.push(format!("{}: expected {:?}, got {instead}", guest.name, guest.end));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), guests.len(), wrong.join("\n"));
    println!("  {} hostile guests", guests.len());
}

/// What every guest is given: one input, one state.
struct Surroundings {
    inputs: Inputs,
    state: State,
}

impl Surroundings {
    fn new(scene: &Scene) -> Surroundings {
        let table = Value::host(DType::U8, Shape::of(&[3, 4]), Elements::U8((0..12).collect()));
        let one = Value::host(DType::F32, Shape::SCALAR, Elements::F32(vec![1.0]));
        let inputs = Inputs::new(BTreeMap::from([("table".to_owned(), table)])).expect("it is an input");
        let state = State::new(vec![NamedValue { name: "w".to_owned(), value: one }]).expect("it is a state");
        let (folder, _) =
            anneal_files::folder_and_name(&scene.folder.path().join("x")).expect("the folder is there");
        files::write_inputs(&folder, Path::new("inputs"), &inputs).expect("they are written");
        files::write_state(&folder, Path::new("state"), &state).expect("it is written");
        Surroundings { inputs, state }
    }

    fn check(&self, scene: &Scene, guest: &Hostile) -> Result<(), String> {
        let path = scene.write(&guest.component);
        let compiled = compile::run(&command("compile"), &path, &scene.cache(), CompileLimits::DEFAULT);
        let compiled = match (compiled, guest.end) {
            (Err(CompileError::Admission(error)), End::Refused(words)) => {
                return says(&error.to_string(), words);
            }
            (Err(CompileError::Refused(message)), End::Refused(words)) => return says(&message, words),
            (Err(error), _) => return Err(error.to_string()),
            (Ok(_), End::Refused(_)) => return Err("it was compiled".to_owned()),
            (Ok(compiled), _) => compiled,
        };
        let folder = scene.folder.path();
        let output = folder.join("out").join("state.safetensors");
        std::fs::create_dir_all(folder.join("out")).expect("there is room for a folder");
        let states = match guest.entry {
            Entry::Train | Entry::Evaluate | Entry::Merge => vec![folder.join("state")],
            Entry::Init | Entry::Run => Vec::new(),
        };
        let request = AttemptRequest {
            task: Task {
                entry: guest.entry,
                inputs: self.inputs.digests(),
                states: states.iter().map(|_| self.state.digest()).collect(),
                ..task(&guest.component, guest.limits)
            },
            component: compiled.path,
            inputs: Some(folder.join("inputs")),
            states,
            output: Some(output),
            time: std::time::Duration::from_secs(60),
            trace: anneal_sandbox::Trace::Off,
            stop: anneal_sandbox::StopFlag::default(),
            pace: None,
        };
        let outcome = attempt(&mut machine("worker", "reference"), &request).0;
        judge(&outcome, guest.end)?;
        only_the_output(&folder.join("out"))
    }
}

fn judge(outcome: &Outcome, end: End) -> Result<(), String> {
    match (outcome, end) {
        (Outcome::GuestFailure(failure), End::Failure(code, words)) if failure.code == code => {
            says(&failure.message, words)
        }
        (Outcome::HostFault(fault), End::Fault(code)) if fault.code == code => Ok(()),
        (Outcome::Completed(_), End::Harmless) => Ok(()),
        (other, _) => Err(format!("{other:?}")),
    }
}

fn says(message: &str, words: &str) -> Result<(), String> {
    let clean = message.len() < 2000 && !message.chars().any(|c| c.is_control());
    if clean && message.contains(words) { Ok(()) } else { Err(format!("\"{}\"", message.escape_debug())) }
}

/// A guest's state is one file with one name, whatever its tensors are called.
fn only_the_output(folder: &Path) -> Result<(), String> {
    let names = std::fs::read_dir(folder)
        .expect("the folder is there")
        .map(|entry| entry.expect("the folder can be read").file_name().to_string_lossy().into_owned());
    let others: Vec<String> = names.filter(|name| name != "state.safetensors").collect();
    if others.is_empty() { Ok(()) } else { Err(format!("it left {others:?}")) }
}
