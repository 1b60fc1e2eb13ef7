//! The key that seals compiled code, and the file that holds it beside the cache. Code is executed, so what lies
//! in the cache must be what this host's compiling process made: a file that somebody planted has no seal. Not
//! a defence against who can read this user's files, for they could also replace the program.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use ring::{
    hmac,
    rand::{SecureRandom, SystemRandom},
};

const KEY_BYTES: usize = 32;

/// Seals compiled code, HMAC-SHA-256. Its `Debug` shows nothing of the key.
#[derive(Debug)]
pub(super) struct SealingKey(hmac::Key);

impl SealingKey {
    /// The key of this cache, from the file beside it, which is made where it is missing.
    ///
    /// # Errors
    /// Where it cannot be made or read, is no key, or others than this user can read it.
    pub(super) fn of(cache: &Path) -> io::Result<SealingKey> {
        let path = beside(cache)?;
        if !fs::exists(&path)? {
            make(&path)?;
        }
        let file = anneal_files::open_regular(&path)?;
        check(&path, &file)?;
        let mut bytes = Vec::with_capacity(KEY_BYTES + 1);
        file.take(KEY_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        if bytes.len() != KEY_BYTES {
            return Err(unusable(&path, "it is no key: remove it, and a new one is made"));
        }
        Ok(SealingKey(hmac::Key::new(hmac::HMAC_SHA256, &bytes)))
    }

    /// The seal of these parts, in this order.
    pub(super) fn seal(&self, parts: &[&[u8]]) -> String {
        hex(self.tag(parts).as_ref())
    }

    /// The seal is of these parts; takes as long whether it is or not.
    pub(super) fn is_of(&self, seal: &str, parts: &[&[u8]]) -> bool {
        let expected = self.seal(parts);
        let differing = expected.bytes().zip(seal.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
        expected.len() == seal.len() && differing == 0
    }

    fn tag(&self, parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"anneal compiled code 1");
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part);
        }
        context.sign()
    }
}

/// `NAME.key` for the folder `NAME`.
fn beside(cache: &Path) -> io::Result<PathBuf> {
    let name = cache.file_name().ok_or_else(|| unusable(cache, "a cache needs a folder of its own"))?;
    let mut name = OsString::from(name);
    name.push(".key");
    Ok(cache.with_file_name(name))
}

/// Whole or not at all, and never over one that another process made meanwhile.
fn make(path: &Path) -> io::Result<()> {
    let mut key = [0; KEY_BYTES];
    SystemRandom::new().fill(&mut key).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    let part = path.with_extension(format!("key.{}.part", std::process::id()));
    let made = write_new(&part, &key).and_then(|()| match fs::hard_link(&part, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let _gone_or_never_there = fs::remove_file(&part);
    made
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Only this user can read it.
#[cfg(unix)]
fn check(path: &Path, file: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    let metadata = file.metadata()?;
    let ours = metadata.uid() == rustix::process::geteuid().as_raw();
    if !metadata.is_file() || !ours || metadata.mode() & 0o077 != 0 {
        return Err(unusable(
            path,
            "others than you can read it, and it vouches for code that is executed: remove it, and a new one is \
             made",
        ));
    }
    Ok(())
}

#[cfg(not(unix))]
fn check(_path: &Path, _file: &File) -> io::Result<()> {
    Ok(())
}

fn unusable(path: &Path, why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, format!("{}: {why}", path.display()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_for_this_user_alone() {
        let folder = tempfile::tempdir().expect("there is room for a folder");
        let cache = folder.path().join("compiled");
        let seal = SealingKey::of(&cache).expect("it is made").seal(&[b"a", b"b"]);
        let again = SealingKey::of(&cache).expect("it is there");
        assert!(again.is_of(&seal, &[b"a", b"b"]));
        assert!(!again.is_of(&seal, &[b"ab", b""]) && !again.is_of(&seal, &[b"a"]) && !again.is_of("", &[]));
        let key = folder.path().join("compiled.key");
        let mode = |mode| fs::set_permissions(&key, fs::Permissions::from_mode(mode)).expect("it is ours");
        assert_eq!(fs::metadata(&key).expect("it is there").permissions().mode() & 0o777, 0o600);
        mode(0o640);
        assert!(SealingKey::of(&cache).is_err());
        mode(0o600);
        fs::write(&key, b"short").expect("it is ours");
        assert!(SealingKey::of(&cache).expect_err("it is no key").to_string().contains("no key"));
        fs::remove_file(&key).expect("it is ours");
        let other = SealingKey::of(&cache).expect("it is made anew");
        assert!(!other.is_of(&seal, &[b"a", b"b"]), "two keys are the same");
        let left = fs::read_dir(folder.path()).expect("the folder is there").count();
        assert_eq!(left, 1, "nothing else is left behind");
    }
}
