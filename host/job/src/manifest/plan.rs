//! The table `[plan]`.

use std::collections::BTreeMap;

use super::{ManifestError, section::Section};
use crate::{
    PARAMETERS_MAX,
    plan::{MAP_TASKS_MAX, PlanSpec, SEGMENTS_MAX, WORKERS_MAX},
};

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Single,
    Train,
    Map,
}

const KINDS: [(&str, Kind); 3] = [("single", Kind::Single), ("train", Kind::Train), ("map", Kind::Map)];

pub(super) fn parse(section: &Section<'_>) -> Result<PlanSpec, ManifestError> {
    let kind_field = section.required(
        "kind",
        "how the job unrolls: \"single\", \"train\" or \"map\"",
        "kind = \"train\"",
    )?;
    let kind = kind_field.choice(&KINDS)?;
    for (key, owner) in [("segments", Kind::Train), ("workers", Kind::Train), ("over", Kind::Map)] {
        if let Some(field) = section.get(key).filter(|_| kind != owner) {
            let name = |wanted| KINDS.iter().find(|(_, kind)| *kind == wanted).map_or("", |(name, _)| *name);
            return Err(ManifestError::Conflict {
                line: field.line(),
                key: field.key().to_owned(),
                with: format!("kind = \"{}\"", name(kind)),
                advice: format!("remove it, or write kind = \"{}\"", name(owner)),
            });
        }
    }
    match kind {
        Kind::Single => Ok(PlanSpec::Single),
        Kind::Train => {
            let number = |key, high: u32, example| match section.get(key) {
                Some(field) => field.integer(1, u64::from(high), example).map(|number| number as u32),
                None => Ok(1),
            };
            let segments = number("segments", SEGMENTS_MAX, "10")?;
            Ok(PlanSpec::Train { segments, workers: number("workers", WORKERS_MAX, "2")? })
        }
        Kind::Map => map(section),
    }
}

fn map(section: &Section<'_>) -> Result<PlanSpec, ManifestError> {
    let example = "over = { fold = [0, 1, 2, 3, 4] }";
    let field = section.required("over", "the parameters that vary, each with its values", example)?;
    let table = field.open_section(example)?;
    table.count("parameters that vary", PARAMETERS_MAX)?;
    let mut over = BTreeMap::new();
    for field in table.named_fields()? {
        over.insert(field.name().to_owned(), field.parameters("[0, 1, 2, 3, 4]")?);
    }
    if over.is_empty() {
        return Err(field.invalid("a table with at least one parameter", example));
    }
    let tasks = over.values().try_fold(1usize, |product, values| product.checked_mul(values.len()));
    match tasks {
        Some(tasks) if tasks <= MAP_TASKS_MAX => Ok(PlanSpec::Map { over }),
        _ => Err(ManifestError::TooMany {
            line: table.line(),
            what: "tasks in the product of all values",
            found: tasks.unwrap_or(usize::MAX),
            limit: MAP_TASKS_MAX,
        }),
    }
}
