//! Admission: what a component must look like before a compiler sees it. Pure over bytes, and cheap.
//!
//! Nothing is validated or compiled here (that is `compile`, in a process of its own); this finds out what a
//! file is, what it wants of the host and what it offers, and says so in words when the answer is no.

mod survey;
#[cfg(test)]
mod tests;
mod wrong_file;

use std::{fmt, io, path::Path};

use anneal_job::{Digest, Entry};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{versions, wasi};

/// Bytes of a component.
pub const COMPONENT_BYTES_MAX: u64 = 16 << 20;
/// Functions of all its core modules together.
pub const FUNCTIONS_MAX: u32 = 50_000;
/// Bytes of one function's body.
pub const FUNCTION_BYTES_MAX: u64 = 1 << 20;
/// Core modules and components, and instances of them.
pub const INSTANCES_MAX: u32 = 100;
/// Linear memories of all its core modules together.
pub const MEMORIES_MAX: u32 = 16;
/// Tables of all its core modules together.
pub const TABLES_MAX: u32 = 64;
/// Instances of components that its components could make of each other: each one counted by how many it
/// instantiates, multiplied. What doubles 40 times fits into a kilobyte.
pub const COMPONENT_INSTANCES_MAX: u64 = 1000;
/// Imports, and exports, of the component itself.
pub const NAMES_MAX: u64 = 1000;
/// Depth of components within components.
pub const NESTING_MAX: u32 = 16;

/// What a component is, as far as can be seen without compiling it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ComponentInfo {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its size.
    pub bytes: u64,
    /// The worlds whose exports it has, at least one.
    pub worlds: Vec<World>,
    /// The version of the contract it was built for; none where it imports nothing of it.
    pub contract: Option<String>,
    /// The interfaces it imports, as it names them.
    pub imports: Vec<String>,
    /// Everything it exports.
    pub exports: Vec<String>,
    /// It imports WASI, which is played for it: no files, no network, no clock.
    pub uses_wasi: bool,
    /// Functions of its core modules.
    pub functions: u32,
    /// What its `producers` sections say it was made with; nobody vouches for that.
    pub producers: Vec<Producer>,
}

/// A tool that says it took part in making a component.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Producer {
    /// `language`, `processed-by` or `sdk`.
    pub field: String,
    /// The tool.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The worlds of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum World {
    /// A job that trains.
    Training,
    /// A job that is one function.
    Function,
}

/// Why a file is not admitted.
#[derive(Debug, Error)]
pub enum AdmissionError {
    /// The file could not be read.
    #[error("{path} cannot be read; check that it exists and is a readable file")]
    Unreadable {
        /// As it was given.
        path: String,
        /// The operating system's word.
        source: io::Error,
    },
    /// Over [`COMPONENT_BYTES_MAX`].
    #[error(
        "it has {bytes} bytes, a component at most {COMPONENT_BYTES_MAX}: build with --release and keep data \
         out of it (data are inputs of the manifest)"
    )]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// Something else than a component.
    #[error("it is {found}, not a WebAssembly component; {remedy}")]
    NotAComponent {
        /// What it looks like.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// It starts as a component and goes wrong.
    #[error("it is damaged at byte {offset}: {message}; build or copy it again")]
    Malformed {
        /// Where.
        offset: u64,
        /// What the parser met.
        message: String,
    },
    /// More of something than is admitted.
    #[error("it has {found} {what}, at most {limit} are admitted; {remedy}")]
    TooMany {
        /// What is counted.
        what: &'static str,
        /// How many there are.
        found: u64,
        /// How many may be.
        limit: u64,
        /// What to do.
        remedy: &'static str,
    },
    /// It wants something of the host that no job gets.
    #[error("it imports {import}, {reason}")]
    Import {
        /// As the component names it.
        import: String,
        /// Why it does not get it, and what to do.
        reason: String,
    },
    /// It has neither world's exports.
    #[error(
        "it exports {}, but a job exports {}; write one of the SDK's export macros (missing: {})",
        or_nothing(found), "init, train, merge and evaluate, or run", missing.join(", ")
    )]
    Exports {
        /// What it exports.
        found: Vec<String>,
        /// What the nearest world lacks.
        missing: Vec<&'static str>,
    },
}

/// Looks at a component.
///
/// # Errors
/// Where it is no component, is over a limit, imports what it may not, or exports no world.
pub fn inspect(bytes: &[u8]) -> Result<ComponentInfo, AdmissionError> {
    check_size(bytes.len() as u64)?;
    wrong_file::check(bytes)?;
    let survey = survey::survey(bytes)?;
    survey.check_counts()?;
    for import in &survey.imports {
        check_import(import)?;
    }
    let worlds = worlds(&survey.exports)?;
    let mut producers = survey.producers;
    producers.sort();
    producers.dedup();
    Ok(ComponentInfo {
        digest: Digest::of(bytes),
        bytes: bytes.len() as u64,
        worlds,
        contract: survey.imports.iter().find_map(|import| contract_version(import)),
        uses_wasi: survey.imports.iter().any(|import| import.starts_with("wasi:")),
        imports: survey.imports,
        exports: survey.exports,
        functions: survey.functions,
        producers,
    })
}

/// Reads a file that should be a component; one that is too large is not read.
///
/// # Errors
/// Where it is too large, no file, or unreadable.
pub fn read(path: &Path) -> Result<Vec<u8>, AdmissionError> {
    anneal_files::read_bounded(path, COMPONENT_BYTES_MAX).map_err(|error| match error {
        anneal_files::ReadError::TooLarge { bytes, .. } => AdmissionError::TooLarge { bytes },
        other => AdmissionError::Unreadable { path: path.display().to_string(), source: other.into() },
    })
}

impl ComponentInfo {
    /// The component exports this function of the contract.
    pub fn has(&self, entry: Entry) -> bool {
        self.worlds.iter().any(|world| world.entries().contains(&entry))
    }
}

impl World {
    /// Both.
    pub const ALL: [World; 2] = [World::Training, World::Function];

    /// The functions a component of this world exports.
    pub const fn entries(self) -> &'static [Entry] {
        match self {
            World::Training => &[Entry::Init, Entry::Train, Entry::Merge, Entry::Evaluate],
            World::Function => &[Entry::Run],
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            World::Training => "training",
            World::Function => "function",
        })
    }
}

fn check_size(bytes: u64) -> Result<(), AdmissionError> {
    if bytes > COMPONENT_BYTES_MAX { Err(AdmissionError::TooLarge { bytes }) } else { Ok(()) }
}

/// The interfaces of the contract that a component may import.
const CONTRACT_INTERFACES: [&str; 4] =
    ["anneal:job/tensors", "anneal:job/data", "anneal:job/report", "anneal:job/context"];

fn check_import(import: &str) -> Result<(), AdmissionError> {
    let refuse =
        |reason: &str| Err(AdmissionError::Import { import: import.to_owned(), reason: reason.to_owned() });
    let (interface, version) = import.split_once('@').unwrap_or((import, ""));
    if CONTRACT_INTERFACES.contains(&interface) {
        let [major, minor, _] = versions::CONTRACT_VERSION;
        return match versions::is_contract(version) {
            true => Ok(()),
            false => refuse(&format!(
                "but this host speaks version {major}.{minor} of the contract; build against its SDK"
            )),
        };
    }
    if wasi::INTERFACES.contains(&interface) {
        return match version.starts_with("0.2.") {
            true => Ok(()),
            false => refuse("but of WASI only version 0.2 is played; build with a tool chain for WASI 0.2"),
        };
    }
    if interface.starts_with("wasi:sockets/") || interface.starts_with("wasi:http/") {
        return refuse(
            "but a job has no network; give it data as inputs of the manifest, and remove the networking \
             code",
        );
    }
    if interface.starts_with("wasi:") {
        return refuse("an interface of WASI that no job gets; remove the code that needs it");
    }
    if interface.starts_with("anneal:job/") {
        return refuse("an interface this host does not know; update anneal, or build against its SDK");
    }
    refuse("which is not part of the contract (anneal:job and parts of WASI 0.2); remove what imports it")
}

fn contract_version(import: &str) -> Option<String> {
    let (interface, version) = import.split_once('@')?;
    CONTRACT_INTERFACES.contains(&interface).then(|| version.to_owned())
}

fn worlds(exports: &[String]) -> Result<Vec<World>, AdmissionError> {
    let missing = |world: World| -> Vec<&'static str> {
        let absent = |name: &&'static str| !exports.iter().any(|export| export == name);
        world.entries().iter().map(|entry| entry.name()).filter(absent).collect()
    };
    let whole: Vec<World> = World::ALL.into_iter().filter(|&world| missing(world).is_empty()).collect();
    if !whole.is_empty() {
        return Ok(whole);
    }
    let training = missing(World::Training);
    let none_of_it = training.len() == World::Training.entries().len();
    let missing = if none_of_it { vec!["run, or all of init, train, merge, evaluate"] } else { training };
    Err(AdmissionError::Exports { found: exports.to_vec(), missing })
}

fn or_nothing(exports: &[String]) -> String {
    const SHOWN: usize = 8;
    match exports.len() {
        0 => "nothing".to_owned(),
        1..=SHOWN => exports.join(", "),
        more => format!("{} and {} more", exports[..SHOWN].join(", "), more - SHOWN),
    }
}
