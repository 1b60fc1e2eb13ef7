//! A job that is ready to run: its manifest read, its component compiled, its inputs canonical and digested.

mod inputs;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anneal_job::{
    Digest, Entry, Manifest, PlanSpec, PlannedTask, Task,
    report::{ErrorKind, InputReport, JobReport},
};
use anneal_sandbox::{
    AttemptRequest, StopFlag, Trace, VERSIONS,
    admission::{ComponentInfo, World},
    compile::{self, CompileError, CompileLimits},
    files,
};
use anyhow::{Context, Result, ensure};

use crate::{
    failure::{Failure, Outcome},
    import::{self, InputFile},
    launcher::Launcher,
    overrides::{self, Overrides},
    progress::Console,
    staging::StagingFolder,
};

/// The manifest that a directory has.
const MANIFEST_NAME: &str = "job.toml";
/// Wall-clock time of an attempt: gas is what bounds a job, this what bounds a machine that hangs.
const ATTEMPT_TIME: Duration = Duration::from_secs(24 * 3600);

/// A job that is ready to run.
pub struct Job {
    /// Everything its result depends on.
    pub report: JobReport,
    /// The manifest, with what the command line replaced.
    pub manifest: Manifest,
    /// The component's file.
    pub component: PathBuf,
    /// The component, compiled for this machine.
    compiled: PathBuf,
    inputs: Option<PathBuf>,
    digests: BTreeMap<String, Digest>,
    /// Holds the inputs' file, and goes with the job.
    folder: StagingFolder,
}

impl Job {
    /// Reads, builds and compiles what the source names.
    ///
    /// # Errors
    /// Bad input, with the file and what is wrong with it; or this machine's.
    pub fn load(source: &JobSource<'_>, launcher: &Launcher, console: &dyn Console) -> Outcome<Job> {
        let source = Source::find(source)?;
        let mut manifest = source.manifest()?;
        let strict = source.manifest.is_some();
        overrides::apply(&mut manifest, &source.named.overrides, strict)?;
        let component = source.component(&manifest)?;
        let compiled = compile(launcher, &component)?;
        let plan = plan(&manifest, &compiled.info)?;
        let files = source.inputs(&manifest, strict)?;
        let folder = StagingFolder::make(launcher)
            .context("cannot make a folder for the inputs")
            .map_err(Failure::host)?;
        let imported = inputs::import(files, console)?;
        let (inputs, reports, digests) = inputs::keep(imported, folder.path())?;
        let report = JobReport {
            component: compiled.info.digest,
            seed: manifest.seed,
            plan,
            parameters: manifest.parameters.clone(),
            inputs: reports,
            entry: None,
            limits: manifest.limits,
            versions: VERSIONS,
        };
        Ok(Job { report, manifest, component, compiled: compiled.path, inputs, digests, folder })
    }

    /// A folder for files that go with the job.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The one file with all inputs, as the sandbox reads it; `None` where there are none.
    pub fn inputs_file(&self) -> Option<&PathBuf> {
        self.inputs.as_ref()
    }

    /// The task, once the states that it starts from are known.
    pub fn task(&self, planned: &PlannedTask, states: Vec<Digest>) -> Task {
        let mut parameters = self.report.parameters.clone();
        parameters.extend(planned.parameters.clone());
        Task {
            component: self.report.component,
            entry: planned.entry,
            place: planned.place,
            job_seed: self.report.seed,
            parameters,
            inputs: self.digests.clone(),
            states,
            limits: self.report.limits,
            versions: self.report.versions,
        }
    }

    /// An attempt at a task.
    pub fn attempt(
        &self,
        task: Task,
        states: Vec<PathBuf>,
        output: Option<PathBuf>,
        stop: &StopFlag,
    ) -> AttemptRequest {
        AttemptRequest {
            task,
            component: self.compiled.clone(),
            inputs: self.inputs.clone(),
            states,
            output,
            time: ATTEMPT_TIME,
            trace: Trace::Off,
            stop: stop.clone(),
            pace: None,
        }
    }

    /// The plan's evaluation on a given state, alone. The state is copied into canonical form.
    ///
    /// # Errors
    /// Where the file is no state, or the plan has no evaluation.
    pub fn evaluate_only(&mut self, state: &Path) -> Outcome<(PlannedTask, PathBuf, Digest)> {
        let tasks = self.report.plan.task_count();
        let planned = self.report.plan.task(tasks - 1).filter(|task| task.entry == Entry::Evaluate);
        let planned = planned.ok_or_else(|| {
            Failure::bad_input("--entry evaluate is for a job that trains; this one's plan has no evaluation")
        })?;
        let read = || -> Result<_> {
            let (folder, name) = anneal_files::folder_and_name(state)?;
            Ok(files::read_state(&folder, &name, anneal_sandbox::machine::FILE_BYTES_MAX)?)
        };
        let value = read().with_context(|| format!("--state {}", state.display()))?;
        let digest = value.digest();
        self.report.entry = Some((Entry::Evaluate, digest));
        let state = state.canonicalize().with_context(|| format!("--state {}", state.display()))?;
        Ok((planned, state, digest))
    }
}

/// What names a job.
pub struct JobSource<'a> {
    /// A directory or a component.
    pub job: PathBuf,
    /// The manifest; `None` is the directory's own.
    pub manifest: Option<PathBuf>,
    /// What replaces parts of it.
    pub overrides: Overrides,
    /// Whether the manifest may name files outside of its folder. It may be a stranger's, and name what is nobody's
    /// but the owner's: so not where the job is uploaded.
    pub may_leave_folder: bool,
    /// Builds a directory that names no component; the component's path.
    pub build: &'a dyn Fn(&Path) -> Outcome<PathBuf>,
}

/// A job's files, once it is known what they are.
struct Source<'a> {
    named: &'a JobSource<'a>,
    is_directory: bool,
    manifest: Option<PathBuf>,
}

impl<'a> Source<'a> {
    fn find(named: &'a JobSource<'a>) -> Result<Source<'a>> {
        let job = &named.job;
        let metadata = std::fs::metadata(job).with_context(|| {
            format!("cannot open {}; name a job's directory or a component", job.display())
        })?;
        let is_directory = metadata.is_dir();
        let own = job.join(MANIFEST_NAME);
        let manifest = match &named.manifest {
            Some(path) => Some(path.clone()),
            // Also where it is no file: that is an error, not a job without a manifest.
            None => (is_directory && own.symlink_metadata().is_ok()).then_some(own),
        };
        Ok(Source { named, is_directory, manifest })
    }

    fn manifest(&self) -> Result<Manifest> {
        let Some(path) = &self.manifest else { return Ok(Manifest::default()) };
        let context = || path.display().to_string();
        let metadata = std::fs::metadata(path).with_context(context)?;
        ensure!(metadata.is_file(), "{} is no file; name the job.toml itself", path.display());
        ensure!(
            metadata.len() <= anneal_job::manifest::MANIFEST_BYTES_MAX as u64,
            "{} has {} bytes; a manifest has at most 1 MiB: is it the right file?",
            path.display(),
            metadata.len()
        );
        let text = anneal_files::read_text(path, anneal_job::manifest::MANIFEST_BYTES_MAX as u64);
        let text = text.with_context(context)?;
        Manifest::parse(&text).with_context(context)
    }

    /// The folder that the manifest's paths start from.
    fn base(&self) -> PathBuf {
        match self.manifest.as_deref().and_then(Path::parent) {
            Some(parent) => parent.to_owned(),
            None if self.is_directory => self.named.job.clone(),
            None => PathBuf::new(),
        }
    }

    fn component(&self, manifest: &Manifest) -> Outcome<PathBuf> {
        if !self.is_directory {
            return Ok(self.named.job.clone());
        }
        let Some(component) = &manifest.component else { return (self.named.build)(&self.named.job) };
        let path = self.base().join(component);
        if !self.named.may_leave_folder {
            import::inside(&path, &self.base()).with_context(|| format!("component {}", path.display()))?;
        }
        Ok(path)
    }

    fn inputs(&self, manifest: &Manifest, strict: bool) -> Result<Vec<InputFile>> {
        let within = (!self.named.may_leave_folder).then(|| self.base());
        let mut files: BTreeMap<String, InputFile> = manifest
            .inputs
            .iter()
            .map(|(name, spec)| {
                let path = self.base().join(&spec.path);
                let file =
                    InputFile { name: name.clone(), path, format: spec.format, within: within.clone() };
                (name.clone(), file)
            })
            .collect();
        for (name, path) in overrides::inputs(manifest, &self.named.overrides, strict)? {
            // A format that the manifest names is the input's, whichever file it comes from.
            let format = files.get(&name).map_or_else(Default::default, |file| file.format);
            // Whoever names it on the command line means it.
            files.insert(name.clone(), InputFile { name, path, format, within: None });
        }
        Ok(files.into_values().collect())
    }
}

fn compile(launcher: &Launcher, component: &Path) -> Outcome<compile::CompiledFile> {
    compile::run(&launcher.compiler(), component, &launcher.cache, CompileLimits::DEFAULT).map_err(|error| {
        let kind = match &error {
            CompileError::Process(_) | CompileError::Cache { .. } | CompileError::Engine(_) => {
                ErrorKind::HostFault
            }
            _ => ErrorKind::BadInput,
        };
        Failure::new(kind, anyhow::Error::from(error).context(component.display().to_string()))
    })
}

/// The manifest's plan, or what the component's world suggests; the component can do all of it.
fn plan(manifest: &Manifest, info: &ComponentInfo) -> Result<PlanSpec> {
    let plan = match &manifest.plan {
        Some(plan) => plan.clone(),
        None if info.worlds.contains(&World::Training) => PlanSpec::Train { segments: 1, workers: 1 },
        None => PlanSpec::Single,
    };
    let (entry, kind) = match plan {
        PlanSpec::Train { .. } => (Entry::Train, "train"),
        PlanSpec::Single => (Entry::Run, "single"),
        PlanSpec::Map { .. } => (Entry::Run, "map"),
    };
    let other = if entry == Entry::Train { "\"single\" or \"map\"" } else { "\"train\"" };
    ensure!(
        info.has(entry),
        "the plan \"{kind}\" calls `{entry}`, which this component does not export; it exports {}: write \
         plan.kind = {other} in the manifest, or leave [plan] out",
        info.exports.join(", ")
    );
    Ok(plan)
}

/// What is told of an input.
fn input_report(value: &anneal_tensor::Value, digest: Digest) -> InputReport {
    InputReport { digest, dtype: value.dtype.name().to_owned(), shape: value.shape.to_vec() }
}

#[cfg(test)]
impl Job {
    /// A job without a component, for machines that need none.
    pub(crate) fn of_plan(plan: PlanSpec) -> Job {
        let report = JobReport {
            component: Digest::of(b"component"),
            seed: 7,
            plan,
            parameters: BTreeMap::new(),
            inputs: BTreeMap::new(),
            entry: None,
            limits: anneal_job::Limits::DEFAULT,
            versions: VERSIONS,
        };
        let folder = StagingFolder::for_test();
        let manifest = Manifest::default();
        Job {
            report,
            manifest,
            component: PathBuf::new(),
            compiled: PathBuf::new(),
            inputs: None,
            digests: BTreeMap::new(),
            folder,
        }
    }
}
