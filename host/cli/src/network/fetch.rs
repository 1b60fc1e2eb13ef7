//! `anneal fetch`: a job's weights, or the state after a segment, and its receipts, streamed to files: at no time is
//! more of it in memory than one page of tasks. What an earlier download left of the weights is gone on with.

use std::{
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anneal_api::{
    Client,
    wire::{JobQuery, JobView, TaskView},
};
use anneal_files::WholeFile;
use anneal_job::{Blob, ByteCount, Entry, JobId, shown_json};
use anneal_runner::failure::{Failure, Outcome};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::{connect, developer::find, developer_key, failure, wait_for};
use crate::{arguments::Fetch, host::Host, terminal::Terminal};

/// Tasks of a page: each may have ten thousand metrics.
const PAGE: u64 = 16;
/// Lines of a plain log come no closer than this.
const LINE_PAUSE: Duration = Duration::from_secs(10);

/// `anneal fetch`: the job as it is shown, without its tasks, which are in `job.json`.
///
/// # Errors
/// The coordinator's, or a file's.
pub fn fetch(arguments: &Fetch, host: &Host, terminal: &Terminal) -> Outcome<JobView> {
    wait_for(async {
        let client = connect(&arguments.job.coordinator, host, developer_key(host)?).await?;
        let id = find(&client, &arguments.job.id).await?;
        fetch_into(&client, id, &arguments.out, arguments.segment, terminal).await
    })
}

/// Writes `job.json` and `receipts.json`, and downloads a state beside them.
pub(super) async fn fetch_into(
    client: &Client,
    job: JobId,
    out: &Path,
    segment: Option<u32>,
    terminal: &Terminal,
) -> Outcome<JobView> {
    std::fs::create_dir_all(out)
        .with_context(|| format!("cannot use the directory {}", out.display()))
        .map_err(Failure::host)?;
    let mut query =
        JobQuery { from: Some(0), tasks: Some(PAGE), receipts: Some(true), ..JobQuery::default() };
    let mut view = client.job(job, &query).await.map_err(failure)?;
    let mut tasks = std::mem::take(&mut view.tasks);
    let mut described = Document::job(out, &view).map_err(Failure::host)?;
    let mut receipts = Document::list(out, "receipts.json").map_err(Failure::host)?;
    let (mut next, mut after, mut count) = (view.next, None, 0u64);
    loop {
        for task in &tasks {
            described.item(task).map_err(Failure::host)?;
            for receipt in task.attempts.iter().filter_map(|attempt| attempt.receipt.as_ref()) {
                receipts.item(receipt).map_err(Failure::host)?;
                count += 1;
            }
            if segment.is_some_and(|segment| ends(task, segment)) {
                after = after.or(task.verdict.as_ref().and_then(|verdict| verdict.state_blob));
            }
        }
        let Some(from) = next else { break };
        query.from = Some(from);
        let page = client.job(job, &query).await.map_err(failure)?;
        (tasks, next) = (page.tasks, page.next);
    }
    let state = match segment {
        None => view.end.as_ref().and_then(|end| end.state),
        Some(segment) => Some(after.ok_or_else(|| {
            Failure::bad_input(format!(
                "there is no verified state after segment {segment}, or it is no longer kept; see `anneal watch {job}`"
            ))
        })?),
    };
    if let Some(blob) = state {
        let path = out.join("state.safetensors");
        download(client, blob, &path, terminal).await?;
        terminal.note(format!("weights     {}", path.display()));
    }
    described.finish().map_err(Failure::host)?;
    let path = receipts.finish().map_err(Failure::host)?;
    terminal.note(format!("receipts    {count} in {}", path.display()));
    Ok(view)
}

/// Whether a task's state is the one after this segment.
fn ends(task: &TaskView, segment: u32) -> bool {
    match task.entry {
        Entry::Init => segment == 0,
        Entry::Train => task.place.workers == 1 && task.place.segment + 1 == segment,
        Entry::Merge => task.place.segment + 1 == segment,
        Entry::Evaluate | Entry::Run => false,
    }
}

/// Downloads a state, and shows how far it is: a bar on a terminal, a line now and then elsewhere.
async fn download(client: &Client, blob: Blob, path: &Path, terminal: &Terminal) -> Outcome<()> {
    let bar = terminal.interactive().then(|| {
        let style = ProgressStyle::with_template("downloading [{bar:30}] {bytes}/{total_bytes} {eta}");
        ProgressBar::new(blob.bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    });
    let mut told = Instant::now();
    let mut show = |done: u64, all: u64| match &bar {
        Some(bar) => bar.set_position(done),
        None if told.elapsed() >= LINE_PAUSE => {
            told = Instant::now();
            terminal.note(format!("downloading {} of {}", ByteCount(done), ByteCount(all)));
        }
        None => {}
    };
    let downloaded = client.download(blob, path, &mut show).await;
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    downloaded.map_err(failure)
}

/// A JSON document that ends in a list, written item by item: whole under its name, or not there.
struct Document {
    file: BufWriter<WholeFile>,
    path: PathBuf,
    end: &'static str,
    is_empty: bool,
}

impl Document {
    /// A list alone.
    fn list(folder: &Path, name: &str) -> anyhow::Result<Document> {
        Document::open(folder, name, "[", "\n]\n")
    }

    /// A job, whose tasks come as items.
    fn job(folder: &Path, view: &JobView) -> anyhow::Result<Document> {
        let mut fields = serde_json::to_value(view).context("a job is JSON")?;
        fields.as_object_mut().context("a job is an object")?.remove("tasks");
        let text = shown_json(serde_json::to_string_pretty(&fields)?);
        let start = text.strip_suffix("\n}").context("a job has fields")?;
        Document::open(folder, "job.json", &format!("{start},\n  \"tasks\": ["), "\n]\n}\n")
    }

    fn open(folder: &Path, name: &str, start: &str, end: &'static str) -> anyhow::Result<Document> {
        let path = folder.join(name);
        let open = || -> io::Result<BufWriter<WholeFile>> {
            let mut file = BufWriter::new(WholeFile::create(&path)?);
            file.write_all(start.as_bytes())?;
            Ok(file)
        };
        let file = open().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Document { file, path, end, is_empty: true })
    }

    fn item<T: Serialize>(&mut self, item: &T) -> anyhow::Result<()> {
        let text = shown_json(serde_json::to_string(item)?);
        let comma = if std::mem::take(&mut self.is_empty) { "\n" } else { ",\n" };
        let written = write!(self.file, "{comma}{text}");
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// The document's path, where it is whole now.
    fn finish(mut self) -> anyhow::Result<PathBuf> {
        let finish = || -> io::Result<()> {
            self.file.write_all(self.end.as_bytes())?;
            self.file.into_inner().map_err(io::IntoInnerError::into_error)?.finish()
        };
        finish().with_context(|| format!("cannot write {}", self.path.display()))?;
        Ok(self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_whole_json_or_not_there() {
        let folder = tempfile::tempdir().expect("a folder");
        for items in [0, 1, 3] {
            let mut document = Document::list(folder.path(), "list.json").expect("opened");
            for number in 0..items {
                document.item(&format!("{number}\u{202e}\n")).expect("written");
            }
            let path = folder.path().join("list.json");
            let before = std::fs::read(&path).ok();
            let finished = document.finish().expect("written");
            let text = std::fs::read_to_string(&finished).expect("there");
            assert!(
                finished == path && before.as_deref() != Some(text.as_bytes()) && !text.contains('\u{202e}')
            );
            let read: Vec<String> = serde_json::from_str(&text).expect("JSON");
            assert_eq!(read.len(), items);
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }
}
