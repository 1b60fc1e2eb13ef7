//! `anneal new`: a job that builds and trains as it is, with the SDK's sources beside it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anneal_job::report::NewReport;
use anyhow::{Context, Result, ensure};

/// The SDK's files, relative to its folder.
const SDK_FILES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk_files.rs"));
/// Where the SDK goes.
const SDK_FOLDER: &str = "vendor/anneal-sdk";

/// The job's own files; `{name}` is the package's name.
const TEMPLATE: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../template/Cargo.toml.template")),
    ("src/lib.rs", include_str!("../template/src/lib.rs.template")),
    ("job.toml", include_str!("../template/job.toml.template")),
    ("README.md", include_str!("../template/README.md.template")),
    (".gitignore", include_str!("../template/gitignore.template")),
];

/// Writes a job into a directory that is empty or does not exist.
///
/// # Errors
/// Where it holds something, or cannot be written.
pub fn new(directory: &Path) -> Result<NewReport> {
    fs::create_dir_all(directory).with_context(|| format!("cannot make {}", directory.display()))?;
    let mut entries =
        fs::read_dir(directory).with_context(|| format!("cannot list {}", directory.display()))?;
    ensure!(
        entries.next().is_none(),
        "{} is not empty; name a directory that is, or that does not exist yet",
        directory.display()
    );
    let name = package_name(&directory.canonicalize().unwrap_or_else(|_| directory.to_owned()));
    let mut files = Vec::new();
    for (path, text) in TEMPLATE {
        write(directory, path.into(), &text.replace("{name}", &name), &mut files)?;
    }
    for (path, text) in SDK_FILES {
        write(directory, Path::new(SDK_FOLDER).join(path), text, &mut files)?;
    }
    Ok(NewReport { directory: directory.display().to_string(), files })
}

/// What a person is told.
pub fn describe(report: &NewReport) -> String {
    format!("A job is in {0}: read {0}/src/lib.rs, then run it with `anneal run {0}`.", report.directory)
}

fn write(directory: &Path, path: PathBuf, text: &str, files: &mut Vec<String>) -> Result<()> {
    let target = directory.join(&path);
    let folder = target.parent().unwrap_or(directory);
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    fs::write(&target, text).with_context(|| format!("cannot write {}", target.display()))?;
    files.push(path.display().to_string());
    Ok(())
}

/// A name that cargo takes, as near to the directory's as can be.
fn package_name(directory: &Path) -> String {
    let name = directory.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' }).collect();
    let plain = plain.trim_matches('-');
    match plain.chars().next() {
        Some(first)
            if first.is_ascii_alphabetic() && plain != "test" && plain != "core" && plain != "std" =>
        {
            plain.to_owned()
        }
        _ => format!("job-{plain}").trim_end_matches('-').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_name_packages() {
        for (directory, name) in [
            ("/a/digits", "digits"),
            ("/a/My Job", "my-job"),
            ("/a/1", "job-1"),
            ("/", "job"),
            ("/test", "job-test"),
        ] {
            assert_eq!(package_name(Path::new(directory)), name);
        }
    }

    #[test]
    fn a_new_job_has_its_files_and_a_manifest_that_reads() {
        let place = tempfile::tempdir().expect("a directory");
        let directory = place.path().join("first");
        let report = new(&directory).expect("a new job");
        for file in
            ["Cargo.toml", "src/lib.rs", "vendor/anneal-sdk/src/lib.rs", "vendor/anneal-sdk/Cargo.toml"]
        {
            assert!(report.files.iter().any(|name| name == file), "{file}");
        }
        assert!(report.files.iter().any(|name| name.starts_with("vendor/anneal-sdk/wit/")));
        let text = fs::read_to_string(directory.join("job.toml")).expect("a manifest");
        anneal_job::Manifest::parse(&text).expect("a manifest that reads");
        let sdk = fs::read_to_string(directory.join("vendor/anneal-sdk/Cargo.toml")).expect("a manifest");
        assert!(!sdk.contains("workspace"), "{sdk}");
        assert!(new(&directory).expect_err("not empty").to_string().contains("not empty"));
    }
}
