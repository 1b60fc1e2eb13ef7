//! `anneal audit`: checks a coordinator's log, from a file or live, and compares mirrors.
//!
//! What is checked is the libraries': the chain and its signatures in `anneal_api::log`, what the events say in
//! `anneal_market::audit`. Here logs are fetched, and what was found is told. `source` is where a log comes from,
//! `check` goes through it once.

mod check;
mod source;

use std::collections::BTreeMap;

use anneal_api::wire::SignedReceipt;
use anneal_job::{AttemptId, Digest, Identity, Timestamp, report::ErrorKind};
use anneal_runner::failure::{Failure, Outcome};
use anyhow::{Context, anyhow};
use serde::Serialize;

use super::wait_for;
use crate::{
    arguments,
    host::Host,
    terminal::{Terminal, table},
};

use check::LogReport;
use source::Source;

/// What the logs come to.
#[derive(Debug, Serialize)]
pub struct AuditReport {
    /// Each log that was named.
    pub logs: Vec<LogReport>,
    /// The first log with each other one.
    pub mirrors: Vec<Mirror>,
}

/// How far two logs of one coordinator are the same.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Mirror {
    /// The one.
    pub first: String,
    /// The other.
    pub second: String,
    /// The last signed place at which both have the same chain; 0 where there is none.
    pub agree_to: u64,
    /// The first signed place at which they differ: the coordinator tells two stories.
    pub fork: Option<u64>,
}

/// `anneal audit`: the report as far as it got, and a failure where anything does not hold.
pub fn audit(
    arguments: &arguments::Audit,
    host: &Host,
    terminal: &Terminal,
) -> (Option<AuditReport>, Option<Failure>) {
    match read_all(arguments, host, terminal) {
        Ok(report) => {
            terminal.data(describe(&report));
            let failure = failure(&report);
            (Some(report), failure)
        }
        Err(failure) => (None, Some(failure)),
    }
}

fn read_all(arguments: &arguments::Audit, host: &Host, terminal: &Terminal) -> Outcome<AuditReport> {
    let named: Vec<&String> = arguments
        .sources
        .iter()
        .chain(host.coordinator.iter().filter(|_| arguments.sources.is_empty()))
        .collect();
    if named.is_empty() {
        return Err(Failure::bad_input(
            "name a log's file or a coordinator's URL, or set ANNEAL_COORDINATOR",
        ));
    }
    if arguments.save.is_some() && named.len() > 1 {
        return Err(Failure::bad_input("--save keeps one log: name one source"));
    }
    let receipts = match &arguments.receipts {
        Some(path) => receipts(path)?,
        None => BTreeMap::new(),
    };
    let mut logs: Vec<LogReport> = Vec::new();
    for name in named {
        let source = Source::parse(name, host)?;
        let checked =
            wait_for(source.check(arguments.identity, &receipts, arguments.save.as_deref(), terminal))?;
        if let Some(first) = logs.first().filter(|first| first.coordinator != checked.coordinator) {
            return Err(Failure::bad_input(format!(
                "{} is the log of {}, but {} of {}: only logs of one coordinator can be compared",
                first.source, first.coordinator, checked.source, checked.coordinator
            )));
        }
        logs.push(checked);
    }
    let mirrors = match logs.split_first() {
        Some((first, others)) => others.iter().map(|other| compare(first, other)).collect(),
        None => Vec::new(),
    };
    Ok(AuditReport { logs, mirrors })
}

/// Bytes of a file of receipts: those of a job with 100,000 tasks and several copies of each.
const RECEIPTS_BYTES_MAX: u64 = 1 << 30;

/// The receipts that `anneal fetch` keeps: what the log must have revealed, by attempt.
fn receipts(path: &std::path::Path) -> Outcome<BTreeMap<AttemptId, Digest>> {
    let context = || format!("the receipts {}", path.display());
    let bytes = anneal_files::read_bounded(path, RECEIPTS_BYTES_MAX).with_context(context)?;
    let receipts: Vec<SignedReceipt> = serde_json::from_slice(&bytes).with_context(context)?;
    if let Some(forged) = receipts.iter().find(|receipt| !receipt.holds()) {
        let words = format!("the receipt of attempt {} is not signed by its provider", forged.attempt);
        return Err(Failure::bad_input(words));
    }
    Ok(receipts.iter().map(|signed| (signed.attempt, signed.receipt.root())).collect())
}

/// Compares the chains at the places where both logs have a signed head.
fn compare(first: &LogReport, second: &LogReport) -> Mirror {
    let mut mirror =
        Mirror { first: first.source.clone(), second: second.source.clone(), agree_to: 0, fork: None };
    for (sequence, hash) in &first.signed {
        match second.signed.get(sequence) {
            None => {}
            Some(other) if other == hash => mirror.agree_to = *sequence,
            Some(_) => {
                mirror.fork = Some(*sequence);
                break;
            }
        }
    }
    mirror
}

fn failure(report: &AuditReport) -> Option<Failure> {
    let forks = report.mirrors.iter().filter_map(|mirror| {
        let Mirror { first, second, fork, .. } = mirror;
        fork.map(|entry| format!("{first} and {second} differ at entry {entry}: one of them was rewritten"))
    });
    let problems = report.logs.iter().filter_map(|log| {
        let first = log.problems.first()?;
        let more = match log.problems.len() {
            1 => String::new(),
            count => format!(", and {} more", count - 1),
        };
        Some(format!("{} does not hold: {first}{more}", log.source))
    });
    let words: Vec<String> = problems.chain(forks).collect();
    if words.is_empty() {
        None
    } else {
        Some(Failure::new(ErrorKind::DoesNotHold, anyhow!(words.join("; "))))
    }
}

fn describe(report: &AuditReport) -> Vec<String> {
    let mut text = Vec::new();
    for log in &report.logs {
        text.push(format!("log         {}", log.source));
        text.push(format!("coordinator {}", log.coordinator));
        text.push(format!("chain       {}", log.hash));
        let open = match log.tasks_open {
            1 => "1 task".to_owned(),
            tasks => format!("{tasks} tasks"),
        };
        let at = when(log.ends_at);
        text.push(format!("ends at     entry {} of {at}, with {open} open", log.entries));
        let row =
            |what: &str, count: u64, how: &str| vec![what.to_owned(), count.to_string(), how.to_owned()];
        let mut rows = vec![
            row("entries", log.entries, "follow each other in one chain"),
            row("heads", log.heads, "are signed by the coordinator"),
            row("commitments", log.commitments, "are what was revealed later"),
            row("verdicts", log.verdicts, "follow from receipts and replays"),
            row("payments", log.payments, "are the verified gas at the lease's price"),
            row("draws", log.draws, "came out as the secret says that was committed to"),
            row("draws", log.draws_open, "have a secret that is not published yet"),
        ];
        if let Some(found) = log.receipts_found {
            rows.push(row("receipts", found, "of yours are in the log"));
        }
        text.extend(table(&["CHECKED", "COUNT", "WHAT"], &rows));
        text.extend(log.problems.iter().map(|problem| format!("wrong       {problem}")));
        if log.problems.is_empty() {
            text.push(
                "all of it holds. It says nothing of what came after its end, nor of what its coordinator left out: \
                 your receipts do (`--receipts`)"
                    .to_owned(),
            );
        }
    }
    for Mirror { first, second, agree_to, fork } in &report.mirrors {
        text.push(match fork {
            None => format!("mirrors     {first} and {second} are the same up to entry {agree_to}"),
            Some(entry) => format!("mirrors     {first} and {second} differ at entry {entry}"),
        });
    }
    text
}

/// In UTC, to the second.
fn when(at: Timestamp) -> String {
    let milliseconds = i64::try_from(at.0).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(milliseconds)
        .map_or_else(|_| "no time".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
}

/// The key that is expected, or any.
fn check_identity(source: &str, found: Identity, expected: Option<Identity>) -> Outcome<()> {
    match expected.filter(|expected| *expected != found) {
        None => Ok(()),
        Some(expected) => Err(Failure::bad_input(format!(
            "{source} is the log of {found}, but was expected to be of {expected}"
        ))),
    }
}

#[cfg(test)]
mod tests;
