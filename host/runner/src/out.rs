//! The out directory of a run: `result.json`, `state.safetensors`, and a state per finished segment.
//!
//! - `segments/000.safetensors` is the first state, `segments/NNN.safetensors` the one after segment NNN;
//!   `segments/NNN-worker-W.safetensors` is a worker's, until its round is merged.
//! - `tasks/NNN.safetensors` is what task NNN of a `map` returned.
//! - `result.json` is written after every task, whole or not at all: a run that was ended anywhere goes on
//!   from what it names.

use std::path::{Path, PathBuf};

use anneal_files::LockFile;
use anneal_job::{Entry, PlannedTask, report::RunReport, shown_json, shown_name};
use anneal_sandbox::{State, files, machine::FILE_BYTES_MAX};
use anyhow::{Context, Result, bail};
use cap_std::{ambient_authority, fs::Dir};

const REPORT_NAME: &str = "result.json";
const STATE_NAME: &str = "state.safetensors";
/// Held as long as a run works in the directory.
const LOCK_NAME: &str = ".anneal.lock";
const FOLDERS: [&str; 2] = ["segments", "tasks"];
/// Bytes of a result.json: 100,000 tasks with their metrics.
const REPORT_BYTES_MAX: u64 = 1 << 30;

/// An out directory.
#[derive(Debug)]
pub struct OutDirectory {
    path: PathBuf,
    folder: Dir,
    /// Two runs would write over each other.
    _lock: LockFile,
}

impl OutDirectory {
    /// Opens a directory, made where it is missing, for this run alone. What a killed run left unfinished is removed.
    ///
    /// # Errors
    /// Where it cannot be made or opened, or another run works in it.
    pub fn open(path: &Path) -> Result<OutDirectory> {
        let context = || format!("cannot use the out directory {}", path.display());
        std::fs::create_dir_all(path).with_context(context)?;
        let path = path.canonicalize().with_context(context)?;
        let folder = Dir::open_ambient_dir(&path, ambient_authority()).with_context(context)?;
        let lock = LockFile::try_take(&folder, LOCK_NAME.as_ref()).with_context(context)?;
        let lock = lock.with_context(|| {
            format!(
                "another `anneal run` works in {}; wait for its end, or name another directory with --out",
                path.display()
            )
        })?;
        remove_parts(&folder).with_context(context)?;
        Ok(OutDirectory { path, folder, _lock: lock })
    }

    /// Its absolute path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The report of the run whose directory this is, where it is one's.
    ///
    /// # Errors
    /// Where there is a result.json that cannot be read.
    pub fn report(&self) -> Result<Option<RunReport>> {
        if !self.folder.exists(REPORT_NAME) {
            return Ok(None);
        }
        let context = || self.path.join(REPORT_NAME).display().to_string();
        let bytes = anneal_files::read_bounded_in(&self.folder, REPORT_NAME.as_ref(), REPORT_BYTES_MAX)
            .with_context(context)?;
        let report = serde_json::from_slice(&bytes);
        report
            .map(Some)
            .context("this is no result of `anneal run`, or of another version")
            .with_context(context)
    }

    /// Nothing but what a run leaves is in it.
    ///
    /// # Errors
    /// Names what is in the way.
    pub fn check_ours(&self) -> Result<()> {
        if self.folder.exists(REPORT_NAME) {
            return Ok(());
        }
        for entry in self.folder.entries().context("cannot list the out directory")? {
            let name = entry.context("cannot list the out directory")?.file_name();
            if name != LOCK_NAME {
                bail!(
                    "the out directory {} holds other files ({}); name an empty one with --out",
                    self.path.display(),
                    shown_name(&name.to_string_lossy())
                )
            }
        }
        Ok(())
    }

    /// Removes what an earlier run left.
    ///
    /// # Errors
    /// The operating system's.
    pub fn clear(&self) -> Result<()> {
        for name in [REPORT_NAME, STATE_NAME] {
            self.remove(Path::new(name))?;
        }
        for name in FOLDERS {
            if self.folder.exists(name) {
                self.folder.remove_dir_all(name).with_context(|| format!("cannot clear {name}"))?;
            }
        }
        Ok(())
    }

    /// Writes the report.
    ///
    /// # Errors
    /// The operating system's.
    pub fn record(&self, report: &RunReport) -> Result<()> {
        let text = shown_json(serde_json::to_string_pretty(report)?);
        anneal_files::write_whole(&self.folder, REPORT_NAME.as_ref(), text.as_bytes())
            .with_context(|| format!("cannot write {}", self.path.join(REPORT_NAME).display()))
    }

    /// Where a task's state goes: `None` for an evaluation, which has none.
    ///
    /// # Errors
    /// Where its folder cannot be made.
    pub fn file_of(&self, task: &PlannedTask, tasks: usize) -> Result<Option<PathBuf>> {
        let Some(name) = file_name(task, tasks) else { return Ok(None) };
        if let Some(folder) = name.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            self.folder
                .create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(Some(name))
    }

    /// The absolute path of a file in it.
    pub fn absolute(&self, name: &Path) -> PathBuf {
        self.path.join(name)
    }

    /// Reads a state in it.
    ///
    /// # Errors
    /// Where it cannot be read, or holds no state.
    pub fn state(&self, name: &Path) -> Result<State> {
        Ok(files::read_state(&self.folder, name, FILE_BYTES_MAX)?)
    }

    /// Makes a state the run's last one.
    ///
    /// # Errors
    /// The operating system's.
    pub fn finish_with(&self, state: &Path) -> Result<PathBuf> {
        if state != Path::new(STATE_NAME) {
            self.remove(Path::new(STATE_NAME))?;
            let linked = self.folder.hard_link(state, &self.folder, STATE_NAME);
            if linked.is_err() {
                self.folder
                    .copy(state, &self.folder, STATE_NAME)
                    .context("cannot write state.safetensors")?;
            }
        }
        Ok(self.path.join(STATE_NAME))
    }

    /// Removes a file, if it is there.
    ///
    /// # Errors
    /// The operating system's.
    pub fn remove(&self, name: &Path) -> Result<()> {
        if self.folder.exists(name) {
            self.folder.remove_file(name).with_context(|| format!("cannot remove {}", name.display()))?;
        }
        Ok(())
    }
}

/// Where a new run of this job goes when nothing is said: jobs do not overwrite each other.
pub fn default_path(job: &anneal_job::Digest) -> PathBuf {
    Path::new("anneal-out").join(&job.to_string()[..12])
}

/// Whether an unfinished run of this very job lies here, to go on with. A finished one may be made again in the
/// same place; another job's may not be lost.
///
/// # Errors
/// Says what is there and how to go on.
pub fn is_unfinished(out: &OutDirectory, job: &anneal_job::report::JobReport) -> Result<bool> {
    out.check_ours()?;
    let Some(old) = out.report()? else { return Ok(false) };
    if let Some(difference) = job.difference(&old.job) {
        bail!(
            "{} holds the result of another job ({difference} differs); name another directory with --out",
            out.path().display()
        );
    }
    Ok(old.result.is_none() && !old.tasks.is_empty())
}

/// Removes the unfinished files of a run that was killed, in the directory and in its folders.
fn remove_parts(folder: &Dir) -> std::io::Result<()> {
    for entry in folder.entries()? {
        let (entry, name) = entry.map(|entry| (entry.file_type(), entry.file_name()))?;
        if entry?.is_file() && anneal_files::is_part(&name) {
            folder.remove_file(&name)?;
        }
    }
    for name in FOLDERS.iter().filter(|name| folder.is_dir(name)) {
        let inner = folder.open_dir(name)?;
        for entry in inner.entries()? {
            let name = entry?.file_name();
            if anneal_files::is_part(&name) {
                inner.remove_file(&name)?;
            }
        }
    }
    Ok(())
}

fn file_name(task: &PlannedTask, tasks: usize) -> Option<PathBuf> {
    let segment = |number: u32| Path::new("segments").join(format!("{number:03}.safetensors"));
    let after = task.place.segment + 1;
    match task.entry {
        Entry::Init => Some(segment(0)),
        Entry::Train if task.place.workers == 1 => Some(segment(after)),
        Entry::Train => {
            let name = format!("{after:03}-worker-{}.safetensors", task.place.worker);
            Some(Path::new("segments").join(name))
        }
        Entry::Merge => Some(segment(after)),
        Entry::Evaluate => None,
        Entry::Run if tasks == 1 => Some(STATE_NAME.into()),
        Entry::Run => Some(Path::new("tasks").join(format!("{:03}.safetensors", task.index))),
    }
}

#[cfg(test)]
mod tests {
    use anneal_job::PlanSpec;

    use super::*;

    #[test]
    fn every_state_has_a_file_of_its_own() {
        let over = [("a".to_owned(), vec![anneal_job::ParameterValue::Integer(1); 3])].into();
        for plan in [
            PlanSpec::Single,
            PlanSpec::Train { segments: 3, workers: 1 },
            PlanSpec::Train { segments: 3, workers: 2 },
            PlanSpec::Map { over },
        ] {
            let tasks = plan.task_count();
            let mut names: Vec<PathBuf> = plan.unroll().filter_map(|task| file_name(&task, tasks)).collect();
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count);
        }
    }
}
