//! The layer of files: Landlock lets a process open what its grant names, and nothing else; and it holds no
//! file that somebody opened before it. No file at all may be executed.
//!
//! Landlock does not look at who reads a file's size or changes its mode: the layer of system calls refuses
//! the latter.

use std::{mem, path::PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, PathFd, Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    RulesetError, make_bitflags, path_beneath_rules,
};

use super::{
    Grant, Role, kernel,
    report::{Enforced, Unavailable},
};

/// Forbids truncating a file that may only be read: what an earlier Landlock does not.
const NEEDED: ABI = ABI::V3;
/// Forbids commands to devices, too, where the kernel knows how.
const HANDLED: ABI = ABI::V5;
const READ: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | ReadDir});
const WRITE: BitFlags<AccessFs> =
    make_bitflags!(AccessFs::{ReadFile | ReadDir | WriteFile | MakeReg | MakeDir | RemoveFile | Truncate});
const DEVICE: BitFlags<AccessFs> = make_bitflags!(AccessFs::{ReadFile | WriteFile | IoctlDev});
/// What a standard library reads to size its pools and to name its frames.
const SYSTEM: [&str; 3] = ["/proc/self", "/sys/devices/system/cpu", "/sys/devices/system/node"];

pub(super) fn enforce(grant: &Grant) -> Enforced {
    let closed = close_inherited(grant.descriptor).map_err(|error| {
        Unavailable::new(format!("/proc/self/fd cannot be read ({error})"), "mount /proc")
    })?;
    let abi = kernel::check(restrict(grant), NEEDED, "6.2")?;
    let gpu = grant.gpu.clone().unwrap_or_default();
    Ok(format!(
        "{} paths readable, {} folders writable, {} device nodes, {closed} inherited files closed (Landlock ABI \
         {abi})",
        readable(grant).len(),
        grant.writable.len(),
        gpu.devices.len(),
    ))
}

fn restrict(grant: &Grant) -> Result<landlock::RestrictionStatus, RulesetError> {
    // A rule holds for the folder as it is now: /proc's would be made anew if nobody held it.
    mem::forget(PathFd::new("/proc/self"));
    let devices = grant.gpu.iter().flat_map(|gpu| &gpu.devices);
    Ruleset::default()
        .handle_access(AccessFs::from_all(HANDLED))?
        .create()?
        .add_rules::<_, _, _, RulesetError>(path_beneath_rules(readable(grant), READ))?
        .add_rules::<_, _, _, RulesetError>(path_beneath_rules(&grant.writable, WRITE))?
        .add_rules::<_, _, _, RulesetError>(path_beneath_rules(devices, DEVICE))
        .and_then(RulesetCreated::restrict_self)
}

fn readable(grant: &Grant) -> Vec<PathBuf> {
    let system = if grant.role == Role::Worker { &SYSTEM[..] } else { &[] };
    let gpu = grant.gpu.iter().flat_map(|gpu| &gpu.readable);
    system.iter().map(PathBuf::from).chain(grant.readable.iter().chain(gpu).cloned()).collect()
}

/// Closes what this process was born with besides its three pipes: a library of the parent's may have left
/// files open for its children.
fn close_inherited(ours: i32) -> std::io::Result<usize> {
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|&descriptor| descriptor > 2 && descriptor != ours)
        .collect();
    let closed = open.iter().filter(|&&descriptor| {
        #[expect(unsafe_code, reason = "a descriptor that nobody in this process knows has no owner")]
        // SAFETY: this process has one thread and has opened nothing itself but `ours`; the folder's own
        // descriptor is closed already, which the check of its flags finds out.
        unsafe {
            libc::fcntl(descriptor, libc::F_GETFD) != -1 && libc::close(descriptor) == 0
        }
    });
    Ok(closed.count())
}
