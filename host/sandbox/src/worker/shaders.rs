//! Where a GPU's driver keeps the shaders that it compiled: a folder for each component, so that a guest which
//! broke out of its worker leaves nothing for another developer's. What it leaves for its own component makes
//! its own results wrong, and they are judged like all.

use std::{
    fs, io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

/// Folders of components; beyond them the oldest go.
const FOLDERS_MAX: usize = 64;

/// The folder for this component, made where it is missing. Its name is the compiled file's, which is the
/// digest of component, compiler and options.
pub(super) fn folder(base: &Path, component: &Path) -> io::Result<PathBuf> {
    let name = component.file_stem().ok_or(io::ErrorKind::InvalidInput)?;
    let folder = base.join(name);
    if !folder.is_dir() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        // Another process may be at it too; what it leaves the next one takes.
        let _kept_for_now = prune(base, &folder);
    }
    Ok(folder)
}

fn prune(base: &Path, new: &Path) -> io::Result<()> {
    let mut found: Vec<(SystemTime, PathBuf)> = fs::read_dir(base)?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.metadata().ok()?.modified().ok()?, entry.path()))
        })
        .filter(|(_, path)| path != new)
        .collect();
    found.sort();
    for (_, path) in &found[..found.len().saturating_sub(FOLDERS_MAX - 1)] {
        fs::remove_dir_all(path)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_share_nothing_and_old_ones_go() {
        let base = tempfile::tempdir().expect("there is room for a folder");
        let of = |name: String| folder(base.path(), Path::new(&name)).expect("there is room for a folder");
        let first = of("/cache/00.cwasm".to_owned());
        assert_eq!(first, base.path().join("00"));
        assert_eq!(of("/elsewhere/00.cwasm".to_owned()), first);
        fs::write(first.join("shader"), "1").expect("there is room for a file");
        for number in 1..FOLDERS_MAX {
            assert_ne!(of(format!("/cache/{number:02}.cwasm")), first);
        }
        assert!(first.join("shader").is_file());
        let newest = of("/cache/new.cwasm".to_owned());
        assert!(newest.is_dir());
        assert_eq!(fs::read_dir(base.path()).expect("it is there").count(), FOLDERS_MAX);
    }
}
