//! The only place that writes to stdout and stderr: data goes to the first, words for people to the second.

use std::io::{IsTerminal, Write};

use anneal_job::report::Envelope;
use serde::Serialize;

use crate::failure::{Failure, Outcome};

/// How this command talks.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    json: bool,
    colour: bool,
    interactive: bool,
}

impl Terminal {
    /// For this process; `json` prints one object on stdout and nothing else there.
    pub fn new(json: bool) -> Terminal {
        let interactive = std::io::stderr().is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Terminal { json, colour: interactive && !refused && !dumb, interactive: interactive && !dumb }
    }

    /// Whether stderr is a terminal that can redraw a line.
    pub fn interactive(&self) -> bool {
        self.interactive
    }

    /// Data for people; with `--json` the object says it instead.
    pub fn data(&self, text: impl AsRef<str>) {
        if !self.json {
            write(&mut std::io::stdout().lock(), text.as_ref());
        }
    }

    /// Data as it is, whatever the mode: help texts, schemas.
    pub fn print(&self, text: impl AsRef<str>) {
        write(&mut std::io::stdout().lock(), text.as_ref());
    }

    /// A line for people who watch.
    pub fn note(&self, text: impl AsRef<str>) {
        write(&mut std::io::stderr().lock(), text.as_ref());
    }

    /// Whether there is a person to ask.
    pub fn can_ask(&self) -> bool {
        !self.json && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Asks a person, who is there; the answer without the space around it.
    ///
    /// # Errors
    /// Where the person is gone.
    pub fn ask(&self, question: &str) -> Outcome<String> {
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "{question}: ");
        let _ = stderr.flush();
        let mut answer = String::new();
        match std::io::stdin().read_line(&mut answer).map_err(Failure::host)? {
            0 => Err(Failure::bad_input("the input ended before every question had its answer")),
            _ => Ok(answer.trim().to_owned()),
        }
    }

    /// Asks a person yes or no; no is the answer of the empty line.
    ///
    /// # Errors
    /// Where there is nobody to ask.
    pub fn confirm(&self, question: &str) -> Outcome<bool> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Err(Failure::bad_input(format!("{question} There is nobody to ask: say --yes")));
        }
        let mut stderr = std::io::stderr().lock();
        let _ = write!(stderr, "{question} [y/N] ");
        let _ = stderr.flush();
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer).map_err(Failure::host)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// A line for people about something that looks wrong but is none of our errors.
    pub fn warn(&self, text: impl AsRef<str>) {
        let label = self.paint("warning:", "33");
        self.note(format!("{label} {}", text.as_ref()));
    }

    /// The error a command ends with.
    pub fn error(&self, failure: &Failure) {
        let label = self.paint("error:", "31;1");
        self.note(format!("{label} {failure}"));
    }

    /// The command's object, where `--json` asks for it.
    pub fn object<T: Serialize>(&self, envelope: &Envelope<T>) {
        if self.json {
            let text =
                serde_json::to_string_pretty(envelope).expect("a report holds nothing that JSON cannot");
            self.print(text);
        }
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Writes a line; a closed pipe is the reader's choice, not our error.
fn write(stream: &mut dyn Write, text: &str) {
    let text = text.strip_suffix('\n').unwrap_or(text);
    let _ = writeln!(stream, "{text}");
    let _ = stream.flush();
}

/// Rows under headings, columns as wide as they need.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String]| {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let headings: Vec<String> = headings.iter().map(|&heading| heading.to_owned()).collect();
    std::iter::once(line(&headings)).chain(rows.iter().map(|row| line(row))).collect::<Vec<_>>().join("\n")
}
