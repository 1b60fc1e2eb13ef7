//! Whatever lies at a path, it is read within its limit or refused at once, and nothing but a regular file is
//! replaced.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Write},
    os::unix::{fs::symlink, net::UnixListener},
    path::Path,
};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).expect("a pipe");
}

#[test]
fn only_regular_files_are_opened_and_nothing_is_waited_for() {
    let place = tempfile::tempdir().expect("a folder");
    let path = |name: &str| place.path().join(name);
    fifo(&path("pipe"));
    let _socket = UnixListener::bind(path("socket")).expect("a socket");
    fs::create_dir(path("folder")).expect("a folder");
    symlink(path("pipe"), path("link to a pipe")).expect("a link");
    symlink("/dev/zero", path("link to a device")).expect("a link");
    symlink(path("link"), path("link")).expect("a circle");
    fs::write(path("file"), "12345").expect("a file");
    symlink(path("file"), path("link to a file")).expect("a link");
    for name in ["pipe", "socket", "link to a pipe", "link to a device"] {
        let refused = read_bounded(&path(name), 1 << 30).expect_err(name).to_string();
        assert!(refused.contains("a pipe, a socket or a device"), "{name}: {refused}");
        assert!(open_regular(&path(name)).is_err() && read_kernel_file(&path(name), 10).is_err(), "{name}");
    }
    for device in ["/dev/zero", "/dev/null", "/dev/tty", "/dev/stdin"] {
        assert!(read_bounded(device.as_ref(), 1 << 30).is_err(), "{device}");
    }
    let refused = read_bounded(&path("folder"), 1 << 30).expect_err("a folder").to_string();
    assert!(refused.contains("directory"), "{refused}");
    for name in ["link", "nothing"] {
        assert!(matches!(read_bounded(&path(name), 10), Err(ReadError::Io(_))), "{name}");
    }
    for name in ["file", "link to a file"] {
        assert_eq!(read_bounded(&path(name), 5).expect(name), b"12345");
        assert!(
            matches!(read_bounded(&path(name), 4), Err(ReadError::TooLarge { bytes: 5, limit: 4 })),
            "{name}"
        );
    }
}

#[test]
fn what_the_kernel_makes_up_is_refused_or_read_within_a_limit() {
    for made_up in ["/proc/self/environ", "/proc/meminfo"] {
        let refused = read_bounded(made_up.as_ref(), 1 << 40);
        assert!(matches!(refused, Err(ReadError::Grew)), "{made_up}: {refused:?}");
    }
    // It takes reads of whole words only, and would give them for as long as one asks.
    assert!(read_bounded("/proc/self/pagemap".as_ref(), 1 << 40).is_err());
    assert!(!read_kernel_file("/proc/meminfo".as_ref(), 1 << 20).expect("the kernel's words").is_empty());
    let refused = read_kernel_file("/proc/meminfo".as_ref(), 10);
    assert!(matches!(refused, Err(ReadError::TooLarge { .. })), "{refused:?}");
}

#[test]
fn a_text_is_utf8() {
    let place = tempfile::tempdir().expect("a folder");
    let path = place.path().join("text");
    fs::write(&path, "für").expect("written");
    assert_eq!(read_text(&path, 10).expect("text"), "für");
    fs::write(&path, b"f\xfcr").expect("written");
    assert!(matches!(read_text(&path, 10), Err(ReadError::NoText)));
}

#[test]
fn a_file_is_whole_or_as_it_was() {
    let place = tempfile::tempdir().expect("a folder");
    let path = place.path().join("file");
    let written = |bytes: &[u8]| -> io::Result<()> {
        let mut file = WholeFile::create(&path)?;
        file.write_all(bytes)?;
        file.finish()
    };
    written(b"old").expect("written");
    let mut unfinished = WholeFile::create(&path).expect("begun");
    unfinished.write_all(b"ne").expect("written");
    assert_eq!(fs::read(&path).expect("there"), b"old");
    let parts = || {
        let names =
            fs::read_dir(place.path()).expect("a folder").map(|entry| entry.expect("one").file_name());
        names.filter(|name| is_part(name)).count()
    };
    assert_eq!(parts(), 1);
    drop(unfinished);
    assert_eq!((parts(), fs::read(&path).expect("there").as_slice()), (0, &b"old"[..]));
    written(b"new").expect("written");
    assert_eq!((parts(), fs::read(&path).expect("there").as_slice()), (0, &b"new"[..]));
}

#[test]
fn nothing_but_a_regular_file_is_replaced() {
    let place = tempfile::tempdir().expect("a folder");
    let path = |name: &str| place.path().join(name);
    fifo(&path("pipe"));
    let _socket = UnixListener::bind(path("socket")).expect("a socket");
    fs::create_dir(path("folder")).expect("a folder");
    symlink(path("pipe"), path("link to a pipe")).expect("a link");
    symlink(path("nothing"), path("link to nothing")).expect("a link");
    fs::write(path("file"), "old").expect("a file");
    symlink(path("file"), path("link to a file")).expect("a link");
    let count = || fs::read_dir(place.path()).expect("a folder").count();
    let before = count();
    for name in ["pipe", "socket", "folder", "link to a pipe", "link to nothing"] {
        WholeFile::create(&path(name)).expect_err(name);
        assert_eq!(count(), before, "{name}");
    }
    assert!(WholeFile::create("/dev/null".as_ref()).is_err());
    let mut file = WholeFile::create(&path("link to a file")).expect("the file that it leads to");
    file.write_all(b"new").expect("written");
    file.finish().expect("whole");
    assert_eq!(fs::read(path("file")).expect("there"), b"new");
    assert!(path("link to a file").is_symlink());
}

#[test]
fn an_unfinished_file_is_known_by_its_name() {
    for ours in [".result.json.12-0.part", "..x.1-2.part"] {
        assert!(is_part(OsStr::new(ours)), "{ours}");
    }
    for other in ["result.json.12-0.part", ".part", ".x.part", ".x.1-.part", ".x.a-0.part", "..1-0.part", ""]
    {
        assert!(!is_part(OsStr::new(other)), "{other}");
    }
}

#[test]
fn a_private_folder_is_its_users_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = tempfile::tempdir().expect("a folder");
    let path = place.path().join("a/b");
    private_folder(&path).expect("it is made");
    assert_eq!(fs::metadata(&path).expect("it is there").permissions().mode() & 0o777, 0o700);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o770)).expect("its mode changes");
    assert!(private_folder(&path).expect_err("others can write it").to_string().contains("chmod 700"));
}
