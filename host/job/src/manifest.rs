//! The manifest of a job, `job.toml`: read from text, checked key by key. Not the files it names.
//!
//! The reference with every key is `host/job/job.toml`; [`schema`] is the same for editors.

mod error;
mod file;
mod limits;
mod name;
mod plan;
pub mod section;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    ByteCount, Limits, PARAMETERS_MAX, ParameterValue, PlanSpec, REDUNDANCY_MAX, Redundancy, check_parameters,
};
use section::{Field, Section, Source};

pub use error::ManifestError;
pub use file::{InputTable, JobFile, LimitsTable, PlanTable, RequirementsTable, schema};
pub use name::{NameError, check_name, nearest};

/// Bytes of a manifest.
pub const MANIFEST_BYTES_MAX: usize = 1 << 20;
/// Inputs of a job.
pub const INPUTS_MAX: usize = 256;

/// What a developer says about a job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    /// The component's file, relative to the manifest; without it the manifest's directory is built.
    pub component: Option<String>,
    /// The job's seed.
    pub seed: u64,
    /// On a network: how many operators' machines must agree on each task.
    pub redundancy: Redundancy,
    /// How the job unrolls; without it, by the component's world.
    pub plan: Option<PlanSpec>,
    /// Input files by name.
    pub inputs: BTreeMap<String, InputSpec>,
    /// What the guest is told.
    pub parameters: BTreeMap<String, ParameterValue>,
    /// What each task may use.
    pub limits: Limits,
    /// What the machine must have.
    pub requirements: Requirements,
}

/// An input file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputSpec {
    /// Relative to the manifest.
    pub path: String,
    /// How to read it.
    pub format: InputFormat,
}

/// How an input file is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InputFormat {
    /// By the name's ending.
    #[default]
    Auto,
    /// Named tensors.
    Safetensors,
    /// A NumPy array.
    Npy,
    /// Rows of numbers.
    Csv,
    /// The format of the MNIST files.
    Idx,
    /// The bytes as they are.
    Raw,
}

/// What the machine must have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Requirements {
    /// Where tensors may be computed.
    pub backend: BackendChoice,
    /// Memory that a GPU must have.
    pub device_memory: Option<ByteCount>,
}

/// Where tensors are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackendChoice {
    /// The first GPU that is no program, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU.
    Gpu,
}

impl InputFormat {
    /// Every format, by its name in a manifest.
    pub const NAMES: [(&'static str, InputFormat); 6] = [
        ("auto", InputFormat::Auto),
        ("safetensors", InputFormat::Safetensors),
        ("npy", InputFormat::Npy),
        ("csv", InputFormat::Csv),
        ("idx", InputFormat::Idx),
        ("raw", InputFormat::Raw),
    ];
}

impl BackendChoice {
    /// Every choice, by its name in a manifest.
    pub const NAMES: [(&'static str, BackendChoice); 3] =
        [("auto", BackendChoice::Auto), ("cpu", BackendChoice::Cpu), ("gpu", BackendChoice::Gpu)];
}

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// The first thing wrong with it, naming line and key.
    pub fn parse(text: &str) -> Result<Manifest, ManifestError> {
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::TooLong { found: text.len(), limit: MANIFEST_BYTES_MAX });
        }
        let source = Source::new(text);
        let document = source.parse()?;
        let root = Section::root(&source, document.get_ref(), file::ROOT_KEYS)?;
        let mut manifest = Manifest::default();
        let (mut plan_line, mut parameters_line) = (1, 1);
        if let Some(field) = root.get("component") {
            manifest.component = Some(path(&field, "\"target/job.wasm\"")?);
        }
        if let Some(field) = root.get("seed") {
            manifest.seed = field.integer(0, u64::MAX, "0")?;
        }
        if let Some(field) = root.get("redundancy") {
            manifest.redundancy = redundancy(&field)?;
        }
        if let Some(field) = root.get("plan") {
            plan_line = field.line();
            manifest.plan = Some(plan::parse(&field.section(file::PLAN_KEYS, "plan.kind = \"train\"")?)?);
        }
        if let Some(field) = root.get("inputs") {
            manifest.inputs = inputs(&field.open_section("inputs.digits = \"digits.csv\"")?)?;
        }
        if let Some(field) = root.get("parameters") {
            let section = field.open_section("parameters.learning-rate = 0.1")?;
            parameters_line = field.line();
            manifest.parameters = parameters(&section)?;
        }
        if let Some(field) = root.get("limits") {
            manifest.limits =
                limits::parse(&field.section(file::LIMITS_KEYS, "limits.memory = \"64 MiB\"")?)?;
        }
        if let Some(field) = root.get("requirements") {
            let section = field.section(file::REQUIREMENTS_KEYS, "requirements.backend = \"cpu\"")?;
            manifest.requirements = requirements(&section)?;
        }
        // The plan's are the ones that are not counted where they stand.
        let line = if manifest.varies() { plan_line } else { parameters_line };
        check_parameters(&manifest.parameters, manifest.plan.as_ref())
            .map_err(|reason| ManifestError::Parameters { line, reason })?;
        Ok(manifest)
    }
}

impl Manifest {
    /// Whether its plan varies parameters.
    fn varies(&self) -> bool {
        matches!(self.plan, Some(PlanSpec::Map { .. }))
    }
}

fn inputs(section: &Section<'_>) -> Result<BTreeMap<String, InputSpec>, ManifestError> {
    section.count("inputs", INPUTS_MAX)?;
    let example = "digits = { path = \"digits.csv\", format = \"csv\" }";
    let mut inputs = BTreeMap::new();
    for field in section.named_fields()? {
        let spec = if field.is_text() {
            InputSpec { path: path(&field, "\"digits.csv\"")?, format: InputFormat::Auto }
        } else {
            let table = field.section(file::INPUT_KEYS, example)?;
            let format = match table.get("format") {
                Some(format) => format.choice(&InputFormat::NAMES)?,
                None => InputFormat::Auto,
            };
            InputSpec {
                path: path(&table.required("path", "a file", "path = \"digits.csv\"")?, "\"digits.csv\"")?,
                format,
            }
        };
        inputs.insert(field.name().to_owned(), spec);
    }
    Ok(inputs)
}

fn parameters(section: &Section<'_>) -> Result<BTreeMap<String, ParameterValue>, ManifestError> {
    section.count("parameters", PARAMETERS_MAX)?;
    section.named_fields()?.iter().map(|field| Ok((field.name().to_owned(), field.parameter()?))).collect()
}

fn redundancy(field: &Field<'_>) -> Result<Redundancy, ManifestError> {
    if field.is_text() {
        return field.choice(&[("adaptive", Redundancy::Adaptive)]);
    }
    let replicas = field.integer(1, u64::from(REDUNDANCY_MAX), "2")?;
    Ok(Redundancy::Fixed(replicas as u8))
}

fn requirements(section: &Section<'_>) -> Result<Requirements, ManifestError> {
    let mut requirements = Requirements::default();
    if let Some(field) = section.get("backend") {
        requirements.backend = field.choice(&BackendChoice::NAMES)?;
    }
    if let Some(field) = section.get("device-memory") {
        requirements.device_memory = Some(field.size(ByteCount(0), ByteCount(1 << 44), "\"2 GiB\"")?);
    }
    Ok(requirements)
}

fn path(field: &Field<'_>, example: &'static str) -> Result<String, ManifestError> {
    let path = field.text("the path of a file", example)?;
    if path.is_empty() || path.contains('\0') || path.len() > 4096 {
        return Err(field.invalid("the path of a file", example));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests;
