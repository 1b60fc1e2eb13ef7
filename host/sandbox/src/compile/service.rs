//! The compiling process: reads a component from stdin, writes its code to stdout. Started by `cache::run`,
//! for one component, behind a hidden subcommand.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use serde::{Deserialize, Serialize};

use super::{CompileError, CompileLimits};
use crate::{
    admission::{COMPONENT_BYTES_MAX, ComponentInfo},
    confine,
};

/// The first line of the answer; the code follows.
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
}

/// The first line of the request; the component follows.
#[derive(Serialize, Deserialize)]
pub(super) struct Request {
    pub cpu_seconds: u64,
    pub memory_bytes: u64,
    pub component_bytes: u64,
}

impl Request {
    pub(super) fn new(limits: CompileLimits, component_bytes: u64) -> Request {
        Request { cpu_seconds: limits.cpu.as_secs(), memory_bytes: limits.memory_bytes, component_bytes }
    }
}

/// Compiles the component that comes on stdin.
pub fn serve() -> ExitCode {
    match confine::own_stdout().and_then(|stdout| answer(&mut io::stdin().lock(), stdout)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the compiling process could not answer");
            ExitCode::FAILURE
        }
    }
}

fn answer(stdin: &mut impl io::BufRead, mut stdout: impl Write) -> io::Result<()> {
    let line = confine::read_line(stdin)?;
    let request: Request = serde_json::from_str(&line)?;
    confine::compiler(request.cpu_seconds, request.memory_bytes)?;
    if request.component_bytes > COMPONENT_BYTES_MAX {
        return Err(io::Error::other("the component is over its limit"));
    }
    let mut component = vec![0; request.component_bytes as usize];
    stdin.read_exact(&mut component)?;
    let (answer, code) = match compile(&component) {
        Ok((info, code)) => (Answer::Compiled { info: Box::new(info), bytes: code.len() as u64 }, code),
        Err(error) => (Answer::Refused { message: error.to_string() }, Vec::new()),
    };
    serde_json::to_writer(&mut stdout, &answer)?;
    stdout.write_all(b"\n")?;
    stdout.write_all(&code)?;
    stdout.flush()
}

fn compile(component: &[u8]) -> Result<(ComponentInfo, Vec<u8>), CompileError> {
    let (compiled, info) = super::in_process(component)?;
    let code = compiled.component().serialize().map_err(|error| CompileError::Invalid(error.to_string()))?;
    Ok((info, code))
}
