//! Why something ends without what it was asked for, whose fault that is, and a command's exit status for it.

use std::fmt;

use anneal_job::report::{ErrorKind, ErrorReport};

/// An error and whose it is. An `anyhow` error becomes bad input: what fails before a task runs mostly is.
#[derive(Debug)]
pub struct Failure {
    /// Whose it is.
    pub kind: ErrorKind,
    /// The code of a guest's failure or a host's fault.
    pub code: Option<String>,
    /// What happened, where, and what to do.
    pub error: anyhow::Error,
}

/// What a command gives.
pub type Outcome<T> = std::result::Result<T, Failure>;

impl Failure {
    /// An error of this kind.
    pub fn new(kind: ErrorKind, error: impl Into<anyhow::Error>) -> Failure {
        Failure { kind, code: None, error: error.into() }
    }

    /// Bad input, from words.
    pub fn bad_input(message: impl fmt::Display) -> Failure {
        Failure::new(ErrorKind::BadInput, anyhow::anyhow!("{message}"))
    }

    /// This machine's fault.
    pub fn host(error: impl Into<anyhow::Error>) -> Failure {
        Failure::new(ErrorKind::HostFault, error)
    }

    /// The same with a code.
    pub fn with_code(mut self, code: impl fmt::Display) -> Failure {
        self.code = Some(code.to_string());
        self
    }

    /// The same with what was being done before its words.
    pub fn context(mut self, words: String) -> Failure {
        self.error = self.error.context(words);
        self
    }

    /// 2 for bad input, 1 for everything else.
    pub fn exit_status(&self) -> u8 {
        if self.kind == ErrorKind::BadInput { 2 } else { 1 }
    }

    /// For programs.
    pub fn report(&self) -> ErrorReport {
        ErrorReport { kind: self.kind, code: self.code.clone(), message: self.to_string() }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Failure {
        Failure::new(ErrorKind::BadInput, error)
    }
}

impl fmt::Display for Failure {
    /// The whole chain, outermost first; a cause that the words before it repeat is left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for cause in self.error.chain() {
            let words = cause.to_string();
            if text.is_empty() {
                text = words;
            } else if !text.contains(&words) {
                text += ": ";
                text += &words;
            }
        }
        f.write_str(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let inner = anyhow::anyhow!("it is text").context("refused: it is text").context("a.wasm");
        assert_eq!(Failure::from(inner).to_string(), "a.wasm: refused: it is text");
        let plain = anyhow::anyhow!("no such file").context("cannot open x");
        assert_eq!(Failure::from(plain).to_string(), "cannot open x: no such file");
    }
}
