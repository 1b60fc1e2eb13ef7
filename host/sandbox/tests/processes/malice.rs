//! What a process tries whose guest has broken out: each attempt by itself, from inside a worker or a
//! compiling process, after it was confined and before it does anything else. What should stop it is said
//! here; whether it did is looked at in `escapes`.

use std::{
    fs::{self, File},
    io::{self, Read},
    net::{TcpStream, UdpSocket},
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixStream},
        },
    },
    path::PathBuf,
    process::Command,
    thread,
    time::Duration,
};

use anneal_sandbox::confine::Layer::{
    self, Environment, Files, Group, Limits, Network, Privileges, Scope, SystemCalls,
};
use serde::{Deserialize, Serialize};

/// More than a malicious process of these tests may have.
pub const BOMB_BYTES: usize = 700 << 20;
/// More than the limit of files.
const BIG_FILE_BYTES: u64 = 17 << 30;
/// More than the limit of open files, and than that of threads.
const MANY: usize = 2_000;

/// What lies around for a malicious process: its parent's, and the owner's.
#[derive(Debug, Serialize, Deserialize)]
pub struct Target {
    /// The attempt's name.
    pub attempt: String,
    /// A file that it may not read, nor remove.
    pub secret: PathBuf,
    /// A file that its owner made unreadable.
    pub closed: PathBuf,
    /// A file that does not exist and that it may not make.
    pub outside: PathBuf,
    /// A listening socket's path.
    pub socket: PathBuf,
    /// A listening abstract socket's name.
    pub abstract_socket: String,
    /// A listening port of this machine.
    pub tcp: u16,
    /// A bound port of this machine.
    pub udp: u16,
    /// A descriptor that the parent left open, of the secret.
    pub descriptor: i32,
}

/// Something that a malicious process tries.
pub struct Attempt {
    /// Its name.
    pub name: &'static str,
    /// Tries it; an error says why it did not succeed.
    act: fn(&Target) -> io::Result<()>,
    /// Each of these stops it without the others.
    pub stopped_by: &'static [Layer],
    /// Some machines stop it without any layer: a user who is not root, a kernel built without it.
    pub optional: bool,
}

const fn always(name: &'static str, act: fn(&Target) -> io::Result<()>, by: &'static [Layer]) -> Attempt {
    Attempt { name, act, stopped_by: by, optional: false }
}

const fn mostly(name: &'static str, act: fn(&Target) -> io::Result<()>, by: &'static [Layer]) -> Attempt {
    Attempt { name, act, stopped_by: by, optional: true }
}

/// All attempts.
pub const ATTEMPTS: &[Attempt] = &[
    always(
        "connect by TCP",
        |at| TcpStream::connect(("127.0.0.1", at.tcp)).map(drop),
        &[Network, SystemCalls],
    ),
    always("send by UDP", udp, &[Network, SystemCalls]),
    always(
        "connect to a unix socket",
        |at| UnixStream::connect(&at.socket).map(drop),
        &[Network, SystemCalls],
    ),
    always("connect to an abstract socket", abstract_socket, &[Network, SystemCalls, Scope]),
    always("read a secret", |at| fs::read(&at.secret).map(drop), &[Files]),
    always("read /etc/passwd", |_| fs::read("/etc/passwd").map(drop), &[Files]),
    always("list a folder", |at| fs::read_dir(parent_of(&at.secret)).map(drop), &[Files]),
    always("remove another's file", |at| fs::remove_file(&at.secret), &[Files]),
    always("write outside", |at| fs::write(&at.outside, "x"), &[Files]),
    always(
        "truncate another's file",
        |at| File::options().write(true).open(&at.secret)?.set_len(0),
        &[Files],
    ),
    always("open a device", |_| File::options().write(true).open("/dev/full").map(drop), &[Files]),
    always("read an inherited file", |at| libc_result(|| unsafe_calls::read(at.descriptor)), &[Files]),
    always("change a file's mode", change_mode, &[SystemCalls]),
    mostly("read a file closed to its owner", |at| fs::read(&at.closed).map(drop), &[Privileges, Files]),
    mostly("change the root", |_| libc_result(unsafe_calls::chroot), &[Privileges, SystemCalls]),
    mostly("gain privileges by a program", |_| new_privileges(), &[Privileges]),
    mostly("trace the parent", |_| libc_result(unsafe_calls::trace_parent), &[SystemCalls, Files]),
    mostly("open the parent's memory", |_| File::open(of_parent("mem")).map(drop), &[Files]),
    mostly("read the parent's environment", |_| fs::read(of_parent("environ")).map(drop), &[Files]),
    mostly("read the parent's memory", |_| read_parent(), &[SystemCalls, Files]),
    always("fork", |_| libc_result(unsafe_calls::fork), &[SystemCalls]),
    always("run a program", run_program, &[SystemCalls, Files]),
    always("signal the parent", |_| libc_result(unsafe_calls::signal_parent), &[SystemCalls, Scope]),
    always("signal the parent's thread", |_| libc_result(unsafe_calls::signal_thread), &[SystemCalls, Scope]),
    always("signal by a file's owner", |_| libc_result(unsafe_calls::own_by_parent), &[SystemCalls]),
    always("change the parent's limits", |_| libc_result(unsafe_calls::limits_of_parent), &[SystemCalls]),
    always("change the parent's priority", |_| libc_result(unsafe_calls::priority_of_parent), &[SystemCalls]),
    mostly("make a user namespace", |_| libc_result(unsafe_calls::user_namespace), &[SystemCalls]),
    always("push a character into a terminal", |_| reached(unsafe_calls::push_character), &[SystemCalls]),
    always("take much memory", |_| bomb(), &[Limits, Group]),
    always("make a big file", |at| File::create(&at.outside)?.set_len(BIG_FILE_BYTES), &[Limits, Files]),
    always("open many files", |_| many_files(), &[Limits]),
    always("start many threads", |_| many_threads(), &[Group]),
    always("read the owner's environment", |_| environment(), &[Environment]),
    mostly("clone3", |_| reached(|| unsafe_calls::call(libc::SYS_clone3)), &[SystemCalls]),
    mostly("execveat", |_| reached(|| unsafe_calls::call(libc::SYS_execveat)), &[SystemCalls]),
    mostly("mount", |_| reached(|| unsafe_calls::call(libc::SYS_mount)), &[SystemCalls]),
    mostly("setns", |_| reached(|| unsafe_calls::call(libc::SYS_setns)), &[SystemCalls]),
    mostly("bpf", |_| reached(|| unsafe_calls::call(libc::SYS_bpf)), &[SystemCalls]),
    mostly("perf_event_open", |_| reached(|| unsafe_calls::call(libc::SYS_perf_event_open)), &[SystemCalls]),
    mostly(
        "io_uring_setup",
        |_| reached(|| unsafe_calls::call(libc::SYS_io_uring_setup)),
        &[SystemCalls, Network],
    ),
    mostly("userfaultfd", |_| reached(|| unsafe_calls::call(libc::SYS_userfaultfd)), &[SystemCalls]),
    mostly("keyctl", |_| reached(|| unsafe_calls::call(libc::SYS_keyctl)), &[SystemCalls]),
    mostly(
        "open_by_handle_at",
        |_| reached(|| unsafe_calls::call(libc::SYS_open_by_handle_at)),
        &[SystemCalls],
    ),
    mostly("pidfd_open", |_| reached(|| unsafe_calls::call(libc::SYS_pidfd_open)), &[SystemCalls]),
    mostly("kcmp", |_| reached(|| unsafe_calls::call(libc::SYS_kcmp)), &[SystemCalls]),
    mostly("init_module", |_| reached(|| unsafe_calls::call(libc::SYS_init_module)), &[SystemCalls]),
    mostly("fanotify_init", |_| reached(|| unsafe_calls::call(libc::SYS_fanotify_init)), &[SystemCalls]),
];

/// What a malicious process says of an attempt that succeeded.
pub const SUCCEEDED: &str = "SUCCEEDED";

/// Makes the attempt that is named there.
pub fn make(target: &str) -> String {
    let target: Target = serde_json::from_str(target).expect("the target is JSON");
    let attempt = ATTEMPTS.iter().find(|attempt| attempt.name == target.attempt);
    match (attempt.expect("there is such an attempt").act)(&target) {
        Ok(()) => SUCCEEDED.to_owned(),
        Err(error) => format!("stopped: {error}"),
    }
}

fn parent_of(path: &std::path::Path) -> &std::path::Path {
    path.parent().expect("a file lies in a folder")
}

fn of_parent(file: &str) -> String {
    format!("/proc/{}/{file}", std::os::unix::process::parent_id())
}

fn udp(at: &Target) -> io::Result<()> {
    UdpSocket::bind("127.0.0.1:0")?.send_to(b"x", ("127.0.0.1", at.udp)).map(drop)
}

fn abstract_socket(at: &Target) -> io::Result<()> {
    UnixStream::connect_addr(&SocketAddr::from_abstract_name(&at.abstract_socket)?).map(drop)
}

fn change_mode(at: &Target) -> io::Result<()> {
    fs::set_permissions(&at.secret, PermissionsExt::from_mode(0o666))
}

fn run_program(_: &Target) -> io::Result<()> {
    Command::new("/proc/self/exe").arg("nothing").status().map(drop)
}

/// Without its promise, a set-user-id program could give this process more than it has.
fn new_privileges() -> io::Result<()> {
    if rustix::thread::no_new_privs()? { Err(io::Error::other("it promised to gain none")) } else { Ok(()) }
}

fn read_parent() -> io::Result<()> {
    match libc_result(unsafe_calls::read_parent) {
        // It may, and nothing is at that address.
        Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Ok(()),
        other => other,
    }
}

fn environment() -> io::Result<()> {
    let mut environment = Vec::new();
    File::open("/proc/self/environ")?.read_to_end(&mut environment)?;
    let secret = b"ANNEAL_TEST_SECRET";
    if environment.windows(secret.len()).any(|window| window == secret) {
        Ok(())
    } else {
        Err(io::Error::other("it is not there"))
    }
}

fn bomb() -> io::Result<()> {
    let mut bytes: Vec<u8> = Vec::new();
    bytes.try_reserve_exact(BOMB_BYTES).map_err(io::Error::other)?;
    bytes.resize(BOMB_BYTES, 1);
    if std::hint::black_box(&bytes).iter().step_by(4096).all(|&byte| byte == 1) {
        Ok(())
    } else {
        Err(io::Error::other("memory forgets"))
    }
}

fn many_files() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let files: Result<Vec<_>, _> = (0..MANY).map(|_| rustix::io::dup(rustix::stdio::stderr())).collect();
    Ok(files.map(drop)?)
}

fn many_threads() -> io::Result<()> {
    for _ in 0..MANY {
        // They stay until the process ends.
        thread::Builder::new().stack_size(64 << 10).spawn(|| thread::sleep(Duration::from_secs(60)))?;
    }
    Ok(())
}

fn libc_result(call: impl FnOnce() -> i64) -> io::Result<()> {
    if call() == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Whether a call with senseless arguments was looked at by the kernel at all.
fn reached(call: impl FnOnce() -> i64) -> io::Result<()> {
    match libc_result(call) {
        Err(error) if !matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM | libc::EACCES)) => {
            Ok(())
        }
        other => other,
    }
}

/// What the standard library does not offer.
#[expect(unsafe_code, reason = "a malicious process calls what it likes")]
mod unsafe_calls {
    use std::ptr::null_mut;

    fn parent() -> i32 {
        std::os::unix::process::parent_id() as i32
    }

    /// A call with arguments that no kernel takes.
    pub fn call(number: i64) -> i64 {
        // SAFETY: every argument is an invalid address, descriptor or command.
        unsafe { libc::syscall(number, -1_i64, -1_i64, -1_i64, -1_i64, -1_i64, -1_i64) }
    }

    pub fn read(descriptor: i32) -> i64 {
        let mut byte = [0_u8];
        // SAFETY: the byte may be written; a descriptor that is not open is refused.
        unsafe { libc::read(descriptor, byte.as_mut_ptr().cast(), 1) as i64 }
    }

    pub fn chroot() -> i64 {
        // SAFETY: a string that ends with zero; the root stays where it is.
        i64::from(unsafe { libc::chroot(c"/".as_ptr()) })
    }

    pub fn trace_parent() -> i64 {
        // SAFETY: seizing touches no memory of this process, and does not stop the parent.
        unsafe { libc::ptrace(libc::PTRACE_SEIZE, parent(), 0, 0) }
    }

    pub fn read_parent() -> i64 {
        let mut byte = [0_u8];
        let here = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
        let there = libc::iovec { iov_base: null_mut(), iov_len: 1 };
        // SAFETY: both vectors are there, and the byte may be written.
        unsafe { libc::process_vm_readv(parent(), &here, 1, &there, 1, 0) as i64 }
    }

    pub fn fork() -> i64 {
        // SAFETY: the child ends at once, and calls nothing that another thread may hold.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: ends the child without running anything of the parent's.
            unsafe { libc::_exit(0) }
        }
        i64::from(child)
    }

    pub fn signal_parent() -> i64 {
        // SAFETY: by default a process ignores this signal.
        i64::from(unsafe { libc::kill(parent(), libc::SIGURG) })
    }

    pub fn signal_thread() -> i64 {
        // SAFETY: as above.
        unsafe { libc::syscall(libc::SYS_tgkill, parent(), parent(), libc::SIGURG) }
    }

    pub fn own_by_parent() -> i64 {
        // SAFETY: stdin is open; without O_ASYNC no signal is sent.
        i64::from(unsafe { libc::fcntl(0, libc::F_SETOWN, parent()) })
    }

    pub fn limits_of_parent() -> i64 {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the limit may be written; the parent's is only read.
        i64::from(unsafe { libc::prlimit(parent(), libc::RLIMIT_CORE, std::ptr::null(), &mut limit) })
    }

    pub fn priority_of_parent() -> i64 {
        // SAFETY: no memory is touched; the parent's priority stays what it was.
        let priority = unsafe { libc::getpriority(libc::PRIO_PROCESS, parent() as u32) };
        // SAFETY: as above.
        i64::from(unsafe { libc::setpriority(libc::PRIO_PROCESS, parent() as u32, priority) })
    }

    pub fn user_namespace() -> i64 {
        // SAFETY: no memory is touched; with several threads the kernel refuses.
        i64::from(unsafe { libc::unshare(libc::CLONE_NEWUSER) })
    }

    pub fn push_character() -> i64 {
        // SAFETY: the character is there; stdin is a pipe, so a kernel that looks refuses.
        i64::from(unsafe { libc::ioctl(0, libc::TIOCSTI, c"x".as_ptr()) })
    }
}
