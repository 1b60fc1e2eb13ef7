//! The job's inputs: imported, digested, and kept as one canonical file for the length of a run.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anneal_job::{Digest, report::InputReport, shown_name};
use anneal_sandbox::{Inputs, files};
use anneal_tensor::Value;
use anyhow::{Context, Result, bail};

use super::input_report;
use crate::{
    failure::{Failure, Outcome},
    import::{self, InputFile},
    progress::Console,
};

/// The canonical file (none where there are no inputs), what is told of each, and its digest.
type Kept = (Option<PathBuf>, BTreeMap<String, InputReport>, BTreeMap<String, Digest>);

/// Reads every file.
pub(super) fn import(files: Vec<InputFile>, console: &dyn Console) -> Result<BTreeMap<String, Value>> {
    let mut values = BTreeMap::new();
    for file in files {
        for imported in import::import(&file)? {
            if let Some(note) = imported.note {
                console.note(format!("input `{}`: {note}", shown_name(&imported.name)));
            }
            if values.insert(imported.name.clone(), imported.value).is_some() {
                bail!("two files give an input `{}`; rename one of them", shown_name(&imported.name));
            }
        }
    }
    Ok(values)
}

/// Writes the canonical file into a folder.
pub(super) fn keep(values: BTreeMap<String, Value>, folder: &Path) -> Outcome<Kept> {
    let inputs = Inputs::new(values).context("the inputs")?;
    let digests = inputs.digests();
    let reports =
        inputs.iter().map(|(name, value)| (name.to_owned(), input_report(value, digests[name]))).collect();
    if digests.is_empty() {
        return Ok((None, reports, digests));
    }
    let path = folder.join("inputs.safetensors");
    let write = || -> Result<()> {
        let (folder, name) = anneal_files::folder_and_name(&path)?;
        Ok(files::write_inputs(&folder, &name, &inputs)?)
    };
    write().context("cannot keep the inputs in the temporary directory").map_err(Failure::host)?;
    Ok((Some(path), reports, digests))
}
