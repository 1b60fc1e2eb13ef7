//! Where a log comes from: a live coordinator, page by page, or a file that `--save` wrote.
//!
//! A file has one JSON object per line: first whose log it is, then the pages as the coordinator sent them.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, BufWriter, IntoInnerError, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use anneal_api::{
    Client, ClientOptions, LogPage, SecretKey, endpoints::LOG_PAGE_ENTRIES_MAX, log::LogFileHeader,
};
use anneal_files::WholeFile;
use anneal_job::{AttemptId, Digest, Identity};
use anneal_runner::failure::{Failure, Outcome};
use anyhow::{Context, anyhow};

use super::{
    check::{Check, LogReport},
    check_identity,
};
use crate::{
    host::Host,
    network::{failure, options, parse_url},
    terminal::Terminal,
};

/// Bytes of a line: a page of entries.
const LINE_BYTES_MAX: u64 = 64 << 20;
/// Entries after which a line says how far it is.
const TELL_EVERY: u64 = 100_000;

/// Where a log comes from.
pub(super) enum Source {
    /// A coordinator.
    Live(Box<ClientOptions>),
    /// A file that was saved.
    File(PathBuf),
}

impl Source {
    /// What starts like a URL is one.
    pub(super) fn parse(text: &str, host: &Host) -> Outcome<Source> {
        if text.starts_with("http://") || text.starts_with("https://") {
            // The log is open to all: nobody needs to know who reads it.
            let key = Arc::new(SecretKey::generate().map_err(Failure::host)?);
            return Ok(Source::Live(Box::new(options(parse_url(text)?, key, host))));
        }
        Ok(Source::File(text.into()))
    }

    /// Reads and checks the whole log, and saves it where that is wanted.
    pub(super) async fn check(
        &self,
        identity: Option<Identity>,
        receipts: &BTreeMap<AttemptId, Digest>,
        save: Option<&Path>,
        terminal: &Terminal,
    ) -> Outcome<LogReport> {
        match self {
            Source::Live(options) => live(options, identity, receipts, save, terminal).await,
            Source::File(path) if save.is_some() => {
                Err(Failure::bad_input(format!("{} is a file already: --save is for a URL", path.display())))
            }
            Source::File(path) => file(path, identity, receipts),
        }
    }
}

async fn live(
    options: &ClientOptions,
    identity: Option<Identity>,
    receipts: &BTreeMap<AttemptId, Digest>,
    save: Option<&Path>,
    terminal: &Terminal,
) -> Outcome<LogReport> {
    let url = &options.url;
    let client = Client::connect(options.clone()).await.map_err(failure)?;
    let coordinator = client.coordinator();
    check_identity(&url.to_string(), coordinator, identity)?;
    let mut saved = save.map(|path| Saved::create(path, coordinator)).transpose()?;
    let mut check = Check::new(coordinator, receipts);
    let mut told = TELL_EVERY;
    loop {
        let page = client.log_page(check.checked()).await.map_err(failure)?;
        if let Some(saved) = &mut saved {
            saved.line(&page)?;
        }
        let holds = check.page(&page);
        if check.checked() >= told {
            terminal.note(format!("{} entries checked", check.checked()));
            told = check.checked() + TELL_EVERY;
        }
        // A page that is not full is the last one; the log may grow on while it is read.
        let last = (page.entries.len() as u64) < LOG_PAGE_ENTRIES_MAX;
        if !holds || page.entries.is_empty() || (last && check.is_signed()) {
            break;
        }
    }
    if let Some(saved) = saved {
        saved.finish(terminal)?;
    }
    Ok(check.finish(url.to_string()))
}

fn file(
    path: &Path,
    identity: Option<Identity>,
    receipts: &BTreeMap<AttemptId, Digest>,
) -> Outcome<LogReport> {
    let name = path.display().to_string();
    let opened = anneal_files::open_regular(path).with_context(|| format!("cannot open the log {name}"))?;
    let mut lines = BufReader::new(opened);
    let header: LogFileHeader = line(&mut lines)
        .and_then(|line| line.context("it is empty"))
        .and_then(|line| serde_json::from_slice(&line).context("its first line does not say whose log it is"))
        .with_context(|| format!("{name} is no log that `anneal audit --save` wrote"))?;
    check_identity(&name, header.coordinator, identity)?;
    let mut check = Check::new(header.coordinator, receipts);
    for number in 2_u64.. {
        let context = || format!("{name}, line {number}");
        let Some(line) = line(&mut lines).with_context(context)? else { break };
        let page: LogPage =
            serde_json::from_slice(&line).context("it is no page of a log").with_context(context)?;
        if !check.page(&page) {
            break;
        }
    }
    Ok(check.finish(name))
}

/// The next line, without its end; `None` after the last.
fn line(lines: &mut impl BufRead) -> anyhow::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = lines.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
    if read as u64 == LINE_BYTES_MAX {
        return Err(anyhow!("it is longer than {LINE_BYTES_MAX} bytes, which no page is"));
    }
    Ok((read > 0).then_some(line))
}

/// A log that is written to a file, which appears under its name when it is whole.
struct Saved {
    file: BufWriter<WholeFile>,
    path: PathBuf,
}

impl Saved {
    fn create(path: &Path, coordinator: Identity) -> Outcome<Saved> {
        let file = WholeFile::create(path).with_context(|| format!("cannot write {}", path.display()))?;
        let mut saved = Saved { file: BufWriter::new(file), path: path.to_owned() };
        saved.line(&LogFileHeader { coordinator })?;
        Ok(saved)
    }

    fn line(&mut self, object: &impl serde::Serialize) -> Outcome<()> {
        let mut line = serde_json::to_vec(object).context("a page is JSON").map_err(Failure::host)?;
        line.push(b'\n');
        let written = self.file.write_all(&line);
        written.with_context(|| format!("cannot write {}", self.path.display())).map_err(Failure::host)
    }

    fn finish(self, terminal: &Terminal) -> Outcome<()> {
        let path = self.path;
        let whole = self.file.into_inner().map_err(IntoInnerError::into_error);
        let finished = whole.and_then(WholeFile::finish);
        finished.with_context(|| format!("cannot write {}", path.display())).map_err(Failure::host)?;
        terminal.note(format!("saved       {}", path.display()));
        Ok(())
    }
}
