//! What a parent says to its worker after the request: lines of JSON, strictly read. A worker that is governed
//! hears its pace again and again; silence is a pause ([`SILENCE_MAX`]), nonsense and the end are a stop.

use std::{
    io::{self, BufRead, Read},
    time::Duration,
};

use anneal_tensor::Pace;
use serde::{Deserialize, Serialize};

/// How often a worker hears its pace, whether it changed or not.
pub(super) const REPEATED: Duration = Duration::from_millis(500);
/// Without a word for so long a worker pauses by itself, until one comes.
pub(super) const SILENCE_MAX: Duration = Duration::from_secs(2);
/// Bytes of a word.
const WORD_BYTES_MAX: u64 = 256;

/// A word of the parent's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// End the attempt.
    Stop,
    /// Go on like this.
    Pace(Pace),
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum Line {
    Stop,
    Pace {
        /// Of the time; 0 is a pause.
        #[serde(rename = "per-mille")]
        per_mille: u16,
    },
}

impl Word {
    /// The line, with its end.
    pub(super) fn line(self) -> Vec<u8> {
        let line = match self {
            Word::Stop => Line::Stop,
            Word::Pace(pace) => Line::Pace { per_mille: pace.per_mille() },
        };
        let mut line = serde_json::to_vec(&line).expect("a word is JSON");
        line.push(b'\n');
        line
    }

    /// The next word.
    ///
    /// # Errors
    /// Where there is none any more, or what comes is none.
    pub(super) fn read(input: &mut impl BufRead) -> io::Result<Word> {
        let mut line = Vec::new();
        input.take(WORD_BYTES_MAX).read_until(b'\n', &mut line)?;
        if line.pop() != Some(b'\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match serde_json::from_slice(&line)? {
            Line::Stop => Ok(Word::Stop),
            Line::Pace { per_mille } => Pace::of_per_mille(per_mille)
                .map(Word::Pace)
                .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no pace has so many thousandths")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for word in (0..=1000).filter_map(Pace::of_per_mille).map(Word::Pace).chain([Word::Stop]) {
            let line = word.line();
            let mut input = line.as_slice();
            assert_eq!(Word::read(&mut input).expect("it is a word"), word);
            assert!(input.is_empty());
        }
    }

    #[test]
    fn nothing_else_is_a_word() {
        let long = format!("\"stop\"{}\n", " ".repeat(300));
        for text in [
            "",
            "\n",
            "stop\n",
            "\"stop\"",
            "\"halt\"\n",
            "{\"pace\":{\"per-mille\":1001}}\n",
            "{\"pace\":{\"per-mille\":-1}}\n",
            "{\"pace\":{\"per-mille\":0.5}}\n",
            "{\"pace\":{\"per-mille\":5,\"more\":1}}\n",
            "{\"pace\":{}}\n",
            "{\"pace\":5}\n",
            "\"stop\" \"stop\"\n",
            "\u{0}\n",
            &long,
        ] {
            assert!(Word::read(&mut text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
