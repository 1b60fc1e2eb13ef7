//! The binary `anneal`: all of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    anneal_cli::main(std::env::args_os())
}
