//! The layer of system calls: a seccomp filter that lets through the calls named here; for the process every
//! other call is one that its kernel does not have (ENOSYS).
//!
//! A list of what is allowed, and not of what is forbidden, because the kernel grows: half of the calls that
//! led out of sandboxes in the last decade (io_uring, userfaultfd, bpf, the mount and pidfd families) were
//! younger than the lists that should have named them. ENOSYS, and not a kill, because drivers and C
//! libraries try newer calls first and fall back when a kernel lacks them; so a driver that wants one that is
//! not here mostly does without it. The lists are what traces of runs on lavapipe showed, and what the Mesa
//! and NVIDIA drivers are known to need for memory, devices and waiting.
//!
//! What is absent on purpose: making processes (fork, vfork, clone without CLONE_THREAD; clone3, whose flags a
//! filter cannot see), executing, tracing, reading others' memory, signalling others (also by F_SETOWN),
//! limits and priorities of others, mounts, namespaces, bpf, perf, io_uring, userfaultfd, keys, handles of
//! files, changing modes, owners and attributes of files, links, pushing characters into a terminal.

use seccompiler::{
    SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Compare, SeccompCondition as Condition,
    SeccompRule as Rule,
};

use super::{
    Grant, Role, kernel,
    report::{Enforced, Unavailable},
};

/// Memory, threads, time, and the files that the layer of files lets it open.
const COMPUTING: &[i64] = &[
    // Memory. Code is made at run time by wasmtime and by shader compilers, so it may be executable.
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_pkey_alloc,
    libc::SYS_pkey_free,
    libc::SYS_pkey_mprotect,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_mlock,
    libc::SYS_munlock,
    libc::SYS_membarrier,
    // Threads.
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_rseq,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_getparam,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_getcpu,
    libc::SYS_exit,
    libc::SYS_exit_group,
    // Its own signals: a guest's trap is one.
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    // Time.
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    // Who it is, and on what.
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getrusage,
    libc::SYS_getrandom,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_times,
    libc::SYS_getcwd,
    // Files and pipes.
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_lseek,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_fstatfs,
    libc::SYS_statfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_fadvise64,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_pipe2,
];

/// The same by their older names, which newer architectures do not have.
#[cfg(target_arch = "x86_64")]
const COMPUTING_BEFORE: &[i64] = &[
    libc::SYS_arch_prctl,
    libc::SYS_time,
    libc::SYS_open,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_dup2,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_pipe,
];
#[cfg(not(target_arch = "x86_64"))]
const COMPUTING_BEFORE: &[i64] = &[];

/// Writing a result, and a driver's compiled shaders: the layer of files says where.
const WRITING: &[i64] = &[
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_flock,
];
#[cfg(target_arch = "x86_64")]
const WRITING_BEFORE: &[i64] = &[libc::SYS_rename, libc::SYS_unlink, libc::SYS_mkdir];
#[cfg(not(target_arch = "x86_64"))]
const WRITING_BEFORE: &[i64] = &[];

/// A GPU's driver: shared buffers, waiting for a device, where memory lies.
const DRIVING: &[i64] = &[
    libc::SYS_memfd_create,
    libc::SYS_eventfd2,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    libc::SYS_get_mempolicy,
    libc::SYS_set_mempolicy,
    libc::SYS_mbind,
    libc::SYS_mlock2,
    libc::SYS_msync,
];
#[cfg(target_arch = "x86_64")]
const DRIVING_BEFORE: &[i64] = &[libc::SYS_epoll_wait, libc::SYS_epoll_create, libc::SYS_eventfd];
#[cfg(not(target_arch = "x86_64"))]
const DRIVING_BEFORE: &[i64] = &[];

/// Commands of `fcntl`: descriptors, locks, seals. Not whom a descriptor signals.
const FCNTL: [i32; 16] = [
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_SETFL,
    libc::F_GETLK,
    libc::F_SETLK,
    libc::F_SETLKW,
    libc::F_OFD_GETLK,
    libc::F_OFD_SETLK,
    libc::F_OFD_SETLKW,
    libc::F_GETPIPE_SZ,
    libc::F_SETPIPE_SZ,
    libc::F_ADD_SEALS,
    libc::F_GET_SEALS,
];

/// Commands of `prctl`: a thread's name, a mapping's name, what it may ask.
const PRCTL: [i32; 5] =
    [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_SET_VMA, libc::PR_GET_DUMPABLE, libc::PR_CAPBSET_READ];

/// Commands to descriptors where there is no GPU: is it a terminal, how much is in it.
const IOCTL: [u64; 5] = [libc::TCGETS, libc::FIOCLEX, libc::FIONCLEX, libc::FIONREAD, libc::FIONBIO];

/// Commands to descriptors that no GPU's driver needs, and that reach others: characters pushed into a
/// terminal, and signals to another process.
const IOCTL_REFUSED: [u64; 5] = [
    libc::TIOCSTI,
    libc::TIOCLINUX,
    libc::FIOASYNC,
    // FIOSETOWN and SIOCSPGRP, which libc does not name.
    0x8901,
    0x8902,
];

type Rules = Vec<(i64, Vec<Rule>)>;

pub(super) fn enforce(grant: &Grant) -> Enforced {
    let rules = rules(grant).map_err(|error| {
        Unavailable::new(
            format!("the filter cannot be built ({error})"),
            "this is a bug of anneal: report it",
        )
    })?;
    let how = format!("{} calls are allowed, all others do not exist (seccomp)", rules.len());
    kernel::install(rules, SeccompAction::Errno(libc::ENOSYS as u32), SeccompAction::Allow)?;
    Ok(how)
}

fn rules(grant: &Grant) -> Result<Rules, seccompiler::BackendError> {
    let mut lists = vec![COMPUTING, COMPUTING_BEFORE];
    if grant.role == Role::Worker {
        lists.extend([WRITING, WRITING_BEFORE]);
    }
    if grant.gpu.is_some() {
        lists.extend([DRIVING, DRIVING_BEFORE]);
    }
    let mut rules: Rules = lists.concat().into_iter().map(|call| (call, Vec::new())).collect();
    rules.extend(conditional(grant.gpu.is_some())?);
    Ok(rules)
}

/// Calls that are allowed with some arguments.
fn conditional(gpu: bool) -> Result<Rules, seccompiler::BackendError> {
    let thread = libc::CLONE_THREAD as u64;
    let itself = u64::from(std::process::id());
    let ioctl = if gpu { vec![all_but(1, &IOCTL_REFUSED)?] } else { one_of(1, IOCTL)? };
    Ok(vec![
        (libc::SYS_clone, vec![when(0, Compare::MaskedEq(thread), thread)?]),
        (libc::SYS_tgkill, vec![when(0, Compare::Eq, itself)?]),
        (libc::SYS_prlimit64, vec![when(0, Compare::Eq, 0)?]),
        (libc::SYS_fcntl, one_of(1, FCNTL.map(|command| command as u64))?),
        (libc::SYS_prctl, one_of(0, PRCTL.map(|command| command as u64))?),
        (libc::SYS_ioctl, ioctl),
    ])
}

/// The kernel takes these arguments as 32 bits, whatever stands in the upper half; so does the filter.
fn when(argument: u8, compare: Compare, value: u64) -> Result<Rule, seccompiler::BackendError> {
    Rule::new(vec![Condition::new(argument, Length::Dword, compare, value)?])
}

fn one_of<const N: usize>(argument: u8, values: [u64; N]) -> Result<Vec<Rule>, seccompiler::BackendError> {
    values.into_iter().map(|value| when(argument, Compare::Eq, value)).collect()
}

fn all_but(argument: u8, values: &[u64]) -> Result<Rule, seccompiler::BackendError> {
    let differs = |&value: &u64| Condition::new(argument, Length::Dword, Compare::Ne, value);
    Rule::new(values.iter().map(differs).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::confine::{GpuPaths, Group, Limits};

    fn grant(role: Role, gpu: bool) -> Grant {
        Grant {
            role,
            readable: Vec::new(),
            writable: Vec::new(),
            gpu: gpu.then(GpuPaths::default),
            descriptor: 3,
            limits: Limits::compiler(1, 1),
            group: Group::none("a test"),
        }
    }

    #[test]
    fn no_list_names_a_way_out() {
        let ways_out = [
            libc::SYS_clone3,
            libc::SYS_execve,
            libc::SYS_execveat,
            libc::SYS_ptrace,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
            libc::SYS_kill,
            libc::SYS_tkill,
            libc::SYS_rt_sigqueueinfo,
            libc::SYS_rt_tgsigqueueinfo,
            libc::SYS_pidfd_send_signal,
            libc::SYS_pidfd_getfd,
            libc::SYS_socket,
            libc::SYS_connect,
            libc::SYS_mount,
            libc::SYS_unshare,
            libc::SYS_chroot,
            libc::SYS_bpf,
            libc::SYS_io_uring_setup,
            libc::SYS_userfaultfd,
            libc::SYS_open_by_handle_at,
            libc::SYS_fchmodat,
            libc::SYS_fchownat,
            libc::SYS_setpriority,
            libc::SYS_sched_setaffinity,
            libc::SYS_truncate,
            libc::SYS_linkat,
            libc::SYS_mknodat,
        ];
        for (role, gpu) in [(Role::Compiler, false), (Role::Worker, false), (Role::Worker, true)] {
            let rules = rules(&grant(role, gpu)).expect("the rules are sound");
            let allowed: BTreeSet<i64> = rules.iter().map(|(call, _)| *call).collect();
            assert_eq!(allowed.len(), rules.len(), "a call is named twice, and one of its rules is lost");
            let found: Vec<&i64> = ways_out.iter().filter(|call| allowed.contains(call)).collect();
            assert!(found.is_empty(), "{found:?}");
            assert_eq!(allowed.contains(&libc::SYS_ftruncate), role == Role::Worker);
            assert_eq!(allowed.contains(&libc::SYS_memfd_create), gpu);
        }
    }
}
