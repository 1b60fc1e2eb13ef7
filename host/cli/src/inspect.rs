//! `anneal inspect`: what a component is, without running anything of it.

use std::path::Path;

use anneal_job::{
    ByteCount,
    report::{ComponentReport, InspectReport},
};
use anneal_sandbox::admission::{self, ComponentInfo, Producer, World};
use anyhow::{Context, Result};

/// Looks at a component.
///
/// # Errors
/// Where the file cannot be read, or is no component that would be admitted.
pub fn inspect(path: &Path) -> Result<InspectReport> {
    let context = || path.display().to_string();
    let bytes = admission::read(path).with_context(context)?;
    let info = admission::inspect(&bytes).with_context(context)?;
    Ok(report(path, info))
}

/// A table for people.
pub fn describe(report: &InspectReport) -> Vec<String> {
    let wasi = if report.wasi {
        "yes; it is given a deterministic one, without files, clock or network"
    } else {
        "none"
    };
    let mut lines = vec![
        format!("component  {}", report.path),
        format!("size       {}", ByteCount(report.component.bytes)),
        format!("digest     {}", report.component.digest),
        format!("world      {}", report.world.as_deref().unwrap_or("none")),
        format!("contract   {}", report.contract.as_deref().unwrap_or("none")),
    ];
    lines.extend(list("exports", &report.exports));
    lines.extend(list("imports", &report.imports));
    lines.push(format!("wasi       {wasi}"));
    lines.extend(list("made by", &report.producers));
    lines
}

/// A line for each item, the first after its label.
fn list(label: &str, items: &[String]) -> Vec<String> {
    match items {
        [] => vec![format!("{label:<11}none")],
        [first, rest @ ..] => {
            let first = format!("{label:<11}{first}");
            std::iter::once(first).chain(rest.iter().map(|item| format!("{:11}{item}", ""))).collect()
        }
    }
}

fn report(path: &Path, info: ComponentInfo) -> InspectReport {
    let contract = info.imports.iter().chain(&info.exports).find_map(|name| {
        name.strip_prefix("anneal:job/")
            .and_then(|rest| rest.split_once('@'))
            .map(|(_, version)| version.to_owned())
    });
    let worlds: Vec<String> = info.worlds.iter().map(World::to_string).collect();
    let producer = |producer: &Producer| format!("{} {}", producer.name, producer.version).trim().to_owned();
    InspectReport {
        path: path.display().to_string(),
        component: ComponentReport { digest: info.digest, bytes: info.bytes },
        world: (!worlds.is_empty()).then(|| worlds.join(" and ")),
        contract,
        imports: info.imports,
        exports: info.exports,
        wasi: info.uses_wasi,
        producers: info.producers.iter().map(producer).collect(),
    }
}
