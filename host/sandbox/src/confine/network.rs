//! The layer of the network: no socket of any kind is made or used. A seccomp filter is what counts; besides,
//! where the kernel permits, Landlock forbids TCP and the process lives in a network of its own, without any
//! interface.

use landlock::{ABI, Access, AccessNet, Ruleset, RulesetAttr, RulesetCreated};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use seccompiler::SeccompAction;

use super::{kernel, report::Enforced};

/// Everything that makes a socket or speaks through one. io_uring is among them, for it makes sockets that no
/// filter sees.
const SOCKETS: [i64; 20] = [
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
    libc::SYS_setsockopt,
    libc::SYS_getsockopt,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

pub(super) fn enforce() -> Enforced {
    let mut how = "no sockets (seccomp)".to_owned();
    if own_network() {
        how += ", a network of its own";
    }
    let restricted = Ruleset::default()
        .handle_access(AccessNet::from_all(ABI::V4))
        .and_then(Ruleset::create)
        .and_then(RulesetCreated::restrict_self);
    if kernel::check(restricted, ABI::V4, "6.7").is_ok() {
        how += ", no TCP (Landlock)";
    }
    let refused = SeccompAction::Errno(libc::EACCES as u32);
    kernel::install(SOCKETS.map(|call| (call, Vec::new())).into(), SeccompAction::Allow, refused)?;
    Ok(how)
}

/// Root may leave the machine's network; others may where they can make a user namespace.
fn own_network() -> bool {
    [UnshareFlags::NEWNET, UnshareFlags::NEWUSER | UnshareFlags::NEWNET].into_iter().any(|flags| {
        #[expect(unsafe_code, reason = "rustix marks it for what unsharing open files would break")]
        // SAFETY: neither flag touches descriptors or memory, and this process has one thread.
        unsafe { unshare_unsafe(flags) }.is_ok()
    })
}
