//! `anneal new`, `anneal build`, `anneal inspect`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Digest;

/// `anneal new`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewReport {
    /// The directory.
    pub directory: String,
    /// The files written, relative to it.
    pub files: Vec<String>,
}

/// `anneal build`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BuildReport {
    /// The component's file.
    pub path: String,
    /// The component.
    pub component: ComponentReport,
    /// The compiler that made it.
    pub toolchain: String,
}

/// A component's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ComponentReport {
    /// SHA-256 of the bytes.
    pub digest: Digest,
    /// How many.
    pub bytes: u64,
}

/// `anneal inspect`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InspectReport {
    /// The file.
    pub path: String,
    /// The component.
    pub component: ComponentReport,
    /// `training` or `function`; null where it exports neither.
    pub world: Option<String>,
    /// The version of the contract it was built for.
    pub contract: Option<String>,
    /// What it imports.
    pub imports: Vec<String>,
    /// What it exports.
    pub exports: Vec<String>,
    /// Whether it imports WASI.
    pub wasi: bool,
    /// The tools that it says it was made by.
    pub producers: Vec<String>,
}
