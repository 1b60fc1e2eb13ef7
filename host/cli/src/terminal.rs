//! The only place that writes to stdout and stderr: data goes to the first, words for people to the second.
//!
//! What a guest, a coordinator or a file has named is part of many of these words. So a line is written by
//! [`shown`], in which nothing steers a terminal, and a text is a line until its writer says where lines end
//! ([`Lines`]): a name with a line's end in it forges none.

use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    sync::OnceLock,
};

use anneal_job::{report::Envelope, shown, shown_json};
use anneal_runner::{
    Console,
    failure::{Failure, Outcome},
};
use serde::Serialize;

/// Why data did not reach stdout.
static LOST: OnceLock<String> = OnceLock::new();

/// Lines to be written. A text becomes one line, whatever is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines(Vec<String>);

impl Lines {
    /// A text of our own that is laid out in lines: nothing that a stranger named may be in it.
    pub fn of_own(text: &str) -> Lines {
        Lines(text.lines().map(str::to_owned).collect())
    }

    /// A text of several lines that is somebody else's: the first line, and the others marked as its continuation,
    /// so that none of them passes for ours.
    pub fn of_other(text: &str) -> Lines {
        let text = text.replace('\t', "    ");
        let mut lines = text.split('\n');
        let first = lines.next().unwrap_or_default().to_owned();
        Lines(std::iter::once(first).chain(lines.map(|line| format!("  | {line}"))).collect())
    }

    /// What is written, a line each.
    pub fn shown(&self) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
        self.0.iter().map(|line| shown(line))
    }
}

impl From<String> for Lines {
    fn from(line: String) -> Lines {
        Lines(vec![line])
    }
}

impl From<&str> for Lines {
    fn from(line: &str) -> Lines {
        Lines(vec![line.to_owned()])
    }
}

impl From<Vec<String>> for Lines {
    fn from(lines: Vec<String>) -> Lines {
        Lines(lines)
    }
}

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
        let interactive = io::stderr().is_terminal();
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Terminal { json, colour: interactive && !refused && !dumb, interactive: interactive && !dumb }
    }

    /// Whether stderr is a terminal that can redraw a line.
    pub fn interactive(&self) -> bool {
        self.interactive
    }

    /// Data for people; with `--json` the object says it instead.
    pub fn data(&self, lines: impl Into<Lines>) {
        if !self.json {
            keep(write(&mut io::stdout().lock(), "", &lines.into()));
        }
    }

    /// Data as it is, whatever the mode: our own help texts and schemas.
    pub fn print(&self, text: &str) {
        keep(print(&mut io::stdout().lock(), text));
    }

    /// Lines for people who watch.
    pub fn note(&self, lines: impl Into<Lines>) {
        let _nobody_listens = write(&mut io::stderr().lock(), "", &lines.into());
    }

    /// Whether there is a person to ask.
    pub fn can_ask(&self) -> bool {
        !self.json && io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks a person, who is there; the answer without the space around it.
    ///
    /// # Errors
    /// Where the person is gone.
    pub fn ask(&self, question: &str) -> Outcome<String> {
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "{}: ", shown(question));
        let _ = stderr.flush();
        let mut answer = String::new();
        match io::stdin().read_line(&mut answer).map_err(Failure::host)? {
            0 => Err(Failure::bad_input("the input ended before every question had its answer")),
            _ => Ok(answer.trim().to_owned()),
        }
    }

    /// Asks a person yes or no; no is the answer of the empty line.
    ///
    /// # Errors
    /// Where there is nobody to ask.
    pub fn confirm(&self, question: &str) -> Outcome<bool> {
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            return Err(Failure::bad_input(format!("{question} There is nobody to ask: say --yes")));
        }
        let mut stderr = io::stderr().lock();
        let _ = write!(stderr, "{} [y/N] ", shown(question));
        let _ = stderr.flush();
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map_err(Failure::host)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// A line for people about something that looks wrong but is none of our errors.
    pub fn warn(&self, line: impl Into<Lines>) {
        let label = self.paint("warning: ", "33");
        let _nobody_listens = write(&mut io::stderr().lock(), &label, &line.into());
    }

    /// The error a command ends with.
    pub fn error(&self, failure: &Failure) {
        let label = self.paint("error: ", "31;1");
        let lines = Lines::of_other(&failure.to_string());
        let _nobody_listens = write(&mut io::stderr().lock(), &label, &lines);
    }

    /// The command's object, where `--json` asks for it.
    pub fn object<T: Serialize>(&self, envelope: &Envelope<T>) {
        if self.json {
            let text =
                serde_json::to_string_pretty(envelope).expect("a report holds nothing that JSON cannot");
            self.print(&shown_json(text));
        }
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// What a command ends with whose data did not all reach stdout: a full disk makes no success.
pub fn lost_output() -> Option<Failure> {
    let why = LOST.get()?;
    Some(Failure::host(anyhow::anyhow!("the output could not be written whole: {why}")))
}

/// Remembers that data were lost. A closed pipe is the reader's choice, not our error.
fn keep(written: io::Result<()>) {
    if let Err(error) = written
        && error.kind() != ErrorKind::BrokenPipe
    {
        let _the_first_error_counts = LOST.set(error.to_string());
    }
}

impl Console for Terminal {
    fn note(&self, line: String) {
        Terminal::note(self, line);
    }

    fn warn(&self, line: String) {
        Terminal::warn(self, line);
    }
}

/// Writes lines after a label of ours.
fn write(stream: &mut dyn Write, label: &str, lines: &Lines) -> io::Result<()> {
    let lines: Vec<_> = lines.shown().collect();
    print(stream, &format!("{label}{}", lines.join("\n")))
}

fn print(stream: &mut dyn Write, text: &str) -> io::Result<()> {
    let text = text.strip_suffix('\n').unwrap_or(text);
    writeln!(stream, "{text}")?;
    stream.flush()
}

/// Rows under headings, columns as wide as they need; a line each.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let headings = headings.iter().map(|&heading| heading.to_owned()).collect();
    let shown_row = |row: &Vec<String>| row.iter().map(|cell| shown(cell).into_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(headings).chain(rows.iter().map(shown_row)).collect();
    let mut widths = vec![0; rows.iter().map(Vec::len).max().unwrap_or(0)];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &Vec<String>| {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_a_line_until_its_writer_says_where_lines_end() {
        let written = |lines: Lines| {
            let mut bytes = Vec::new();
            write(&mut bytes, "error: ", &lines).expect("written");
            String::from_utf8(bytes).expect("text")
        };
        let hostile = "\u{1b}[31mred\nresult 00";
        assert_eq!(written(hostile.into()), "error: \\u{1b}[31mred\\nresult 00\n");
        assert_eq!(written(Lines::of_other(hostile)), "error: \\u{1b}[31mred\n  | result 00\n");
        assert_eq!(written(vec!["a".to_owned(), hostile.to_owned()].into()).lines().count(), 2);
        assert_eq!(written(Lines::of_own("a\nb\n")), "error: a\nb\n");
    }

    #[test]
    fn cells_are_shown_and_columns_stay_straight() {
        let lines = table(&["A", "B"], &[vec!["x\ny".to_owned(), "1".to_owned()], vec!["z".to_owned()]]);
        assert_eq!(lines, ["A     B", "x\\ny  1", "z"]);
    }
}
