//! Checks a log: from its events alone, recomputes commitments, verdicts, gas splits, draws and prices.
//!
//! What follows from what a log says must be in it: payments, faults and dissent from a verdict, an end of each attempt
//! before its task is final, all tasks before a job is complete, the secrets of past epochs. What it cannot see: work
//! that was never leased, operators that are the coordinator itself, and cover, which is in no log: whether an anchor
//! was one, and the probability of an audit within its bounds.

mod book;
mod check;

use crate::{Event, EventKind};

/// What a log shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditReport {
    /// Events that were read.
    pub events: u64,
    /// Verdicts that were recomputed.
    pub verdicts: u64,
    /// Commitments that were recomputed.
    pub commitments: u64,
    /// Payments that were recomputed.
    pub payments: u64,
    /// Draws that were repeated.
    pub draws: u64,
    /// Draws whose epoch's secret is not published yet.
    pub draws_open: u64,
    /// Tasks that are not final at the log's end.
    pub tasks_open: u64,
    /// What is wrong; nothing in an honest log.
    pub discrepancies: Vec<Discrepancy>,
}

/// Something in a log that the rules do not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discrepancy {
    /// The event, from 0.
    pub event: u64,
    /// What is wrong with it.
    pub problem: String,
}

/// Discrepancies that are listed: one is enough to convict.
const DISCREPANCIES_MAX: usize = 1000;

/// Recomputes a log from its first event on.
pub fn audit(events: impl IntoIterator<Item = Event>) -> AuditReport {
    let mut auditor = Auditor::default();
    for event in events {
        auditor.read(&event);
    }
    auditor.finish()
}

/// An audit under way, for logs that come in pieces.
#[derive(Clone, Debug, Default)]
pub struct Auditor {
    book: book::Book,
    report: AuditReport,
}

impl Auditor {
    /// Reads the next event; says what is wrong with it.
    pub fn read(&mut self, event: &Event) -> Option<Discrepancy> {
        let number = self.report.events;
        self.report.events += 1;
        let rules = number > 0 || matches!(event.kind, EventKind::RulesSet { .. });
        let begun = book::ensure(rules, "the log does not begin with its rules");
        let problem = begun.and(self.book.read(event, &mut self.report)).err()?;
        let discrepancy = Discrepancy { event: number, problem };
        if self.report.discrepancies.len() < DISCREPANCIES_MAX {
            self.report.discrepancies.push(discrepancy.clone());
        }
        Some(discrepancy)
    }

    /// What was found.
    pub fn finish(mut self) -> AuditReport {
        self.report.draws_open = self.book.draws_open();
        self.report.tasks_open = self.book.tasks.len() as u64;
        let hidden = self.book.epochs_not_opened();
        if hidden > 0 {
            let problem =
                format!("no task is open, and the secrets of {hidden} past epochs are not published");
            self.report.discrepancies.push(Discrepancy { event: self.report.events, problem });
        }
        self.report
    }
}
