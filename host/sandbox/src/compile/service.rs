//! The compiling process: reads a component from stdin, writes its code to stdout. Started by `cache::run`,
//! for one component, behind a hidden subcommand. It confines itself before it reads the component, and then
//! has no files at all.

use std::{
    io::{self, Write},
    os::fd::AsRawFd,
    process::ExitCode,
    sync::Arc,
};

use anneal_tensor::float_mode::{self, FirstWrong};
use serde::{Deserialize, Serialize};

use super::{CompileError, CompileLimits};
use crate::{
    admission::{COMPONENT_BYTES_MAX, ComponentInfo},
    confine::{self, Confinement, ConfinementReport, Grant, Group, Limits, Role},
    protocol,
};

/// The first line of what it writes: how it is confined.
#[derive(Serialize, Deserialize)]
pub(super) struct Confined {
    pub confined: ConfinementReport,
}

/// The second line, the answer; the code follows.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    /// Compiled.
    Compiled {
        /// What it is.
        info: Box<ComponentInfo>,
        /// How many bytes of code follow.
        bytes: u64,
    },
    /// The component's fault.
    Refused {
        /// For the developer.
        message: String,
    },
    /// This machine's fault.
    Failed {
        /// For its owner.
        message: String,
    },
}

/// The first line of the request; the component follows.
#[derive(Serialize, Deserialize)]
pub(super) struct Request {
    pub cpu_seconds: u64,
    pub memory_bytes: u64,
    pub confinement: Confinement,
    /// 0 where it is only to show how it would be confined.
    pub component_bytes: u64,
}

impl Request {
    pub(super) fn new(limits: CompileLimits, component_bytes: u64) -> Request {
        Request {
            cpu_seconds: limits.cpu.as_secs(),
            memory_bytes: limits.memory_bytes,
            confinement: limits.confinement,
            component_bytes,
        }
    }
}

/// Compiles the component that comes on stdin. Called while the process has one thread.
pub fn serve() -> ExitCode {
    serve_with(compile)
}

/// As [`serve`], with something else in the compiler's place: for tests of what confines it.
#[doc(hidden)]
pub fn serve_with(
    compile: impl FnOnce(&[u8]) -> Result<(ComponentInfo, Vec<u8>), CompileError> + Send,
) -> ExitCode {
    match answer(&mut io::stdin().lock(), compile) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the compiling process could not answer");
            ExitCode::FAILURE
        }
    }
}

fn answer(
    stdin: &mut impl io::BufRead,
    compile: impl FnOnce(&[u8]) -> Result<(ComponentInfo, Vec<u8>), CompileError> + Send,
) -> io::Result<()> {
    // The compiler computes what the guest's constants come to.
    let mode = float_mode::check(float_mode::AT_START);
    let mut stdout = protocol::own_stdout()?;
    let request: Request = serde_json::from_str(&protocol::read_line(stdin)?)?;
    let grant = Grant {
        role: Role::Compiler,
        readable: Vec::new(),
        writable: Vec::new(),
        gpu: None,
        descriptor: stdout.as_raw_fd(),
        limits: Limits::compiler(request.memory_bytes, request.cpu_seconds),
        group: Group::none("a compiling process needs none"),
    };
    confine::end_with_parent()?;
    let confined = confine::confine(request.confinement, &grant);
    let unmet = confined.unmet(request.confinement.requirement);
    say(&mut stdout, &Confined { confined })?;
    if unmet.is_some() || request.component_bytes == 0 {
        return Ok(());
    }
    if request.component_bytes > COMPONENT_BYTES_MAX {
        return Err(io::Error::other("the component is over its limit"));
    }
    let mut component = vec![0; request.component_bytes as usize];
    stdin.read_exact(&mut component)?;
    let mode = mode.map_err(|wrong| wrong.to_string());
    let (answer, code) = match mode.and_then(|()| looked_after(|| compile(&component))) {
        Err(message) => (Answer::Failed { message }, Vec::new()),
        Ok(compiled) => answer_of(compiled),
    };
    say(&mut stdout, &answer)?;
    stdout.write_all(&code)?;
    stdout.flush()
}

/// Compiles on threads that look at their floating-point mode: what constants of a guest come to is computed there.
fn looked_after<T: Send>(compile: impl FnOnce() -> T + Send) -> Result<T, String> {
    let modes = Arc::new(FirstWrong::default());
    let begins = Arc::clone(&modes);
    let threads = rayon::ThreadPoolBuilder::new()
        .start_handler(move |_| begins.check("whatever started the compiler's threads"))
        .build()
        .map_err(|error| format!("there are no threads to compile with ({error})"))?;
    // Each has begun once it has answered.
    threads.broadcast(|_| ());
    let compiled = threads.install(compile);
    threads.broadcast(|_| modes.check("the compiling of a component"));
    modes.result().map_err(|wrong| wrong.to_string())?;
    Ok(compiled)
}

fn answer_of(compiled: Result<(ComponentInfo, Vec<u8>), CompileError>) -> (Answer, Vec<u8>) {
    match compiled {
        Ok((info, code)) => (Answer::Compiled { info: Box::new(info), bytes: code.len() as u64 }, code),
        Err(error) => (Answer::Refused { message: error.to_string() }, Vec::new()),
    }
}

fn say(stdout: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(line)?;
    line.push(b'\n');
    stdout.write_all(&line)
}

fn compile(component: &[u8]) -> Result<(ComponentInfo, Vec<u8>), CompileError> {
    let (compiled, info) = super::in_process(component)?;
    let code = compiled.component().serialize().map_err(|error| CompileError::Invalid(error.to_string()))?;
    Ok((info, code))
}
