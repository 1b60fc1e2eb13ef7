//! `anneal appeal`: what the owner of a faulted provider can do about it. Shows the faults whose forfeits are not
//! final, and has one decided once more on another backend of the coordinator's. `anneal replay` repeats the task here.

use anneal_api::{
    Client,
    wire::{Batch, CaseView},
};
use anneal_job::{AttemptId, Timestamp};
use anneal_runner::failure::{Failure, Outcome};
use anyhow::anyhow;
use serde::Serialize;

use super::{connect, failure, owner, wait_for};
use crate::{
    arguments,
    host::Host,
    terminal::{Terminal, table},
};

/// What stands, and what was appealed now.
#[derive(Debug, Serialize)]
pub struct Appeals {
    /// Faults whose forfeits are not final.
    pub cases: Vec<CaseView>,
    /// The attempt whose fault is decided once more.
    pub appealed: Option<AttemptId>,
}

/// Shows a provider's cases, and appeals one.
///
/// # Errors
/// Where the coordinator cannot be reached or refuses, or the provider has never worked for it.
pub fn appeal(arguments: &arguments::Appeal, host: &Host, terminal: &Terminal) -> Outcome<Appeals> {
    let base = owner::folder(arguments.folder.as_deref(), host);
    wait_for(async {
        if !base.is_dir() {
            return Err(Failure::bad_input(format!(
                "there is no provider in {}; name its folder with --folder",
                base.display()
            )));
        }
        let client = connect(&arguments.coordinator, host, super::key_in(&base)?).await?;
        if let Some(attempt) = arguments.attempt {
            send(&client, attempt).await?;
            terminal.note(format!(
                "appealed {attempt}: another backend decides; look again with `anneal appeal`"
            ));
        }
        let view = client.provider(client.identity()).await.map_err(failure)?;
        let cases = view.cases.unwrap_or_default();
        terminal.data(describe(&cases, client.now()));
        Ok(Appeals { cases, appealed: arguments.attempt })
    })
}

async fn send(client: &Client, attempt: AttemptId) -> Outcome<()> {
    let batch = Batch { appeals: vec![attempt], ..Batch::default() };
    let reply = client.batch(&batch).await.map_err(failure)?;
    match reply.appeals.into_iter().next().and_then(|item| item.error) {
        None => Ok(()),
        Some(error) => {
            let code = error.code.clone();
            Err(Failure::host(anyhow!("the coordinator refused: {error}")).with_code(code))
        }
    }
}

fn describe(cases: &[CaseView], now: Timestamp) -> Vec<String> {
    let wait = |left: anneal_job::Span| left.to_string();
    if cases.is_empty() {
        return vec!["no fault of this provider waits for a decision".to_owned()];
    }
    let rows = cases.iter().map(|case| {
        let state = if case.appealed { "another backend decides" } else { "can be appealed" };
        let cells = [
            case.attempt.to_string(),
            case.job.to_string()[..12].to_owned(),
            case.credits.to_string(),
            wait(case.until.since(now)),
            state.to_owned(),
        ];
        cells.to_vec()
    });
    table(&["attempt", "job", "suspended", "final in", ""], &rows.collect::<Vec<_>>())
}
