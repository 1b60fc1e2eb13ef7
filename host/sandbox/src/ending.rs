//! Why a run ended without a result, and whose it is: the guest's, on every machine, or this machine's.
//!
//! Host functions and limits raise an [`Ending`] as the error of a trap; here such an error, or one of
//! wasmtime's own, becomes an outcome.

use std::fmt::{self, Write};

use anneal_job::{FailureCode, FaultCode, GuestFailure, HostFault, Outcome};
use anneal_tensor::{ExecutorError, Exhausted, WrongMode};
use thiserror::Error;
use wasmtime::{Trap, WasmBacktrace};

/// Bytes of a function's name that a developer is shown.
const NAME_BYTES_MAX: usize = 200;
/// Bytes of a function's name that are looked at.
const MANGLED_BYTES_MAX: usize = 4096;

/// A run's end without a result. As an error of a host function, it traps the guest.
#[derive(Clone, Debug, Error)]
pub(crate) enum Ending {
    /// The guest's.
    #[error("{}", .0.message)]
    Failure(GuestFailure),
    /// This machine's.
    #[error("{}", .0.message)]
    Fault(HostFault),
}

impl Ending {
    pub(crate) fn failure(code: FailureCode, message: impl Into<String>) -> Ending {
        Ending::Failure(GuestFailure { code, message: message.into(), gas: 0 })
    }

    /// The same with the gas that was used until then.
    pub(crate) fn after(mut self, gas: u64) -> Ending {
        if let Ending::Failure(failure) = &mut self {
            failure.gas = gas;
        }
        self
    }

    pub(crate) fn fault(code: FaultCode, message: impl Into<String>) -> Ending {
        Ending::Fault(HostFault { code, message: message.into() })
    }

    /// Somebody stopped the attempt.
    pub(crate) fn stopped() -> Ending {
        Ending::fault(FaultCode::WorkerDied, "the attempt was stopped")
    }

    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Ending::Failure(failure) => Outcome::GuestFailure(failure),
            Ending::Fault(fault) => Outcome::HostFault(fault),
        }
    }
}

/// Where in a run an error came up: the same error means other things there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Memories and instances are being made: an unknown error is the machine's.
    Instantiation,
    /// The guest's code runs: an unknown error is about what it handed over.
    Call,
}

/// What an error of a run means; `panic` is what the guest reported before it trapped.
pub(crate) fn classify(
    error: &wasmtime::Error,
    phase: Phase,
    limit_gas: u64,
    panic: Option<String>,
) -> Ending {
    if let Some(ending) = error.downcast_ref::<Ending>() {
        return ending.clone();
    }
    if error.is::<wasmtime::OutOfMemory>() {
        return Ending::fault(
            FaultCode::OutOfMemory,
            "the machine has no memory left for the guest; try again",
        );
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => Exhausted::Gas { limit: limit_gas }.into(),
        Some(Trap::StackOverflow) => stack_overflow(),
        Some(Trap::Interrupt) => Ending::fault(FaultCode::TimeOut, "the attempt was interrupted"),
        Some(trap) => match panic {
            Some(message) => Ending::failure(FailureCode::Panic, message),
            None => Ending::failure(FailureCode::Trap, trap_message(*trap)),
        },
        None if phase == Phase::Call => handed_over(error),
        None => {
            let message = format!("the guest could not be started on this machine: {}", chain(error));
            Ending::fault(FaultCode::Internal, message)
        }
    }
}

/// The frames of the guest at the time of an error, innermost first, for the developer. Not as wasmtime prints them: it
/// demangles C++ names, whose substitutions double at each level, and names are the guest's.
pub(crate) fn backtrace(error: &wasmtime::Error) -> Option<String> {
    let frames = error.downcast_ref::<WasmBacktrace>()?.frames().iter().enumerate();
    let lines: Vec<String> = frames
        .map(|(number, frame)| {
            let index = frame.func_index();
            let name = frame.func_name().map_or_else(|| format!("function {index}"), readable);
            format!("{number:>5}: {name}")
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// A function's name as Rust wrote it, cut.
fn readable(name: &str) -> String {
    let end = name.floor_char_boundary(MANGLED_BYTES_MAX);
    let mut text = Cut(String::new());
    // It ends early where there is no more room.
    let _is_cut = write!(text, "{:#}", rustc_demangle::demangle(&name[..end]));
    text.0
}

/// A text that takes no more than so many characters.
struct Cut(String);

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = NAME_BYTES_MAX.saturating_sub(self.0.len());
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        if text.len() > room { Err(fmt::Error) } else { Ok(()) }
    }
}

fn stack_overflow() -> Ending {
    let message = "the guest's calls went deeper than the native stack allows, which differs between \
                   machines, so it is no result; look for a recursion without end, or make it a loop";
    Ending::fault(FaultCode::StackOverflow, message)
}

fn trap_message(trap: Trap) -> String {
    let what = trap.to_string();
    let what = what.strip_prefix("wasm trap: ").unwrap_or(&what);
    let advice = match trap {
        Trap::UnreachableCodeReached => {
            "the guest aborted without a message; use the SDK's macro, which reports panics with file and \
             line"
        }
        Trap::MemoryOutOfBounds => {
            "the guest reached outside its memory: unsafe code, or a stack that ran over (deep recursion, \
             large arrays on the stack)"
        }
        _ => "see the frames in the log",
    };
    format!("the guest trapped: {what}; {advice}")
}

/// An error in what the guest gave to the host: an invalid string, a handle it does not have, too much at
/// once.
fn handed_over(error: &wasmtime::Error) -> Ending {
    let message = chain(error);
    // wasmtime gives these errors no public type; tests hold their words.
    if message.contains("fuel allocated for hostcalls has been exhausted") {
        let message = "the guest handed over too much data in one call: split it";
        return Ending::failure(FailureCode::Limit, message);
    }
    if message.contains("store handle limit exceeded") {
        let message = "the guest holds too many handles: drop those that are not needed";
        return Ending::failure(FailureCode::Handles, message);
    }
    Ending::failure(
        FailureCode::Trap,
        format!("the guest broke the contract's calling convention: {message}"),
    )
}

/// An error and what it came from, without backtraces, in one line.
pub(crate) fn chain(error: &wasmtime::Error) -> String {
    // The outermost is the backtrace, where there is one; it is not rendered at all.
    let backtrace = usize::from(error.is::<WasmBacktrace>());
    let parts = error.chain().skip(backtrace).map(ToString::to_string);
    let parts: Vec<String> = parts.filter(|part| !part.contains('\n')).collect();
    parts.join(": ")
}

impl From<Exhausted> for Ending {
    fn from(exhausted: Exhausted) -> Ending {
        let code = match exhausted {
            Exhausted::TensorBytes { .. } => FailureCode::TensorMemory,
            Exhausted::StepNodes { .. } | Exhausted::LiveTensors { .. } => FailureCode::StepNodes,
            Exhausted::Gas { .. } => FailureCode::Gas,
        };
        Ending::failure(code, exhausted.to_string())
    }
}

impl From<WrongMode> for Ending {
    fn from(wrong: WrongMode) -> Ending {
        Ending::fault(FaultCode::FloatMode, wrong.to_string())
    }
}

impl From<ExecutorError> for Ending {
    fn from(error: ExecutorError) -> Ending {
        let (code, advice) = match error {
            ExecutorError::DeviceLost(_) => (FaultCode::DeviceLost, "; try again, or use --backend cpu"),
            ExecutorError::OutOfMemory(_) => {
                (FaultCode::OutOfMemory, "; close other programs, use smaller batches, or use --backend cpu")
            }
            ExecutorError::FloatMode(wrong) => return wrong.into(),
            ExecutorError::Stopped => return Ending::stopped(),
            ExecutorError::ForeignValue(_) => (FaultCode::Internal, ""),
        };
        Ending::fault(code, format!("{error}{advice}"))
    }
}

#[cfg(test)]
mod name_tests {
    use super::*;

    #[test]
    fn a_function_s_name_costs_what_it_is_long() {
        assert_eq!(
            readable("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE"),
            "core::fmt::Write::write_fmt"
        );
        // In C++ each of these names all before it twice.
        let levels: String = (0..40).map(|level| format!("S{level}_")).collect();
        let cpp = format!("_Z1fI{levels}E");
        assert_eq!(readable(&cpp), cpp[..cpp.len().min(NAME_BYTES_MAX)]);
        assert_eq!(readable(&"é".repeat(1 << 20)).len(), NAME_BYTES_MAX);
    }
}
