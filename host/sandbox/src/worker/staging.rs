//! Where a worker writes: a folder of its own beside the output, so that it can touch no other attempt's
//! result. What it left there becomes the output once it has ended well.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

/// A folder for one attempt; removed when this is dropped.
pub(super) struct Staging {
    folder: PathBuf,
    output: PathBuf,
}

impl Staging {
    /// Makes the folder beside this output.
    pub(super) fn beside(output: &Path) -> io::Result<Staging> {
        static FOLDERS: AtomicU64 = AtomicU64::new(0);
        let name = output.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        let mut own = std::ffi::OsString::from(".");
        own.push(name);
        own.push(format!(".{}-{number}.attempt", std::process::id()));
        let folder = output.with_file_name(own);
        fs::create_dir(&folder)?;
        Ok(Staging { folder, output: output.to_owned() })
    }

    /// The file that the worker writes.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.join(self.output.file_name().unwrap_or_default())
    }

    /// Makes the worker's file the output.
    pub(super) fn keep(self) -> io::Result<()> {
        // A link would let a worker choose what others read under the output's name.
        if !fs::symlink_metadata(self.file())?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the worker left no regular file"));
        }
        fs::rename(self.file(), &self.output)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // Whoever forgot the attempt may have removed it with everything of it.
        if let Err(error) = fs::remove_dir_all(&self.folder)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(folder = %self.folder.display(), %error, "an attempt's folder was left behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_becomes_the_output_and_anything_else_does_not() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let output = folder.path().join("state");
        let names = || fs::read_dir(folder.path()).expect("the folder is there").count();
        let staging = Staging::beside(&output).expect("there is room for a folder");
        fs::write(staging.file(), "1").expect("there is room for a file");
        staging.keep().expect("the file is there");
        assert_eq!(fs::read(&output).expect("the output is there"), b"1");
        assert_eq!(names(), 1);
        // Nothing, and what leads elsewhere.
        assert!(Staging::beside(&output).expect("there is room").keep().is_err());
        #[cfg(unix)]
        {
            let staging = Staging::beside(&output).expect("there is room for a folder");
            std::os::unix::fs::symlink("/etc/passwd", staging.file()).expect("the name is free");
            assert!(staging.keep().is_err());
        }
        assert_eq!((fs::read(&output).expect("the output is there").as_slice(), names()), (&b"1"[..], 1));
    }
}
