//! SIGINT, SIGTERM and the other signals that ask a process to end: every command ends within a second, and says so.
//!
//! - A command that works for its caller ends with exit status 1 and the error kind `interrupted`; what is finished
//!   is kept where the command keeps anything. It is asked first, by the [`StopFlag`] and [`interrupted`]; where it
//!   does not hear, because a read or a computation takes long, the process is ended over its head.
//! - A command that serves until it is told to stop (`provide`, `coordinator`) ends with exit status 0. It has
//!   [`LEAVE_TIME`] to give back its leases and to answer what was asked; most need far less than a second.
//! - A second signal ends any command at once.
//!
//! SIGHUP is heard where it is not ignored: `nohup` means what it says. SIGQUIT, SIGALRM, SIGUSR1 and SIGUSR2 would
//! end a process that does not hear them, and leave what it has staged.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    task::Poll,
    thread,
    time::{Duration, Instant},
};

use anneal_job::report::ErrorKind;
use anneal_runner::{
    failure::{Failure, Outcome},
    staging,
};
use anneal_sandbox::StopFlag;
use anyhow::{Context, anyhow};
use tokio::sync::watch;

use crate::terminal::Terminal;

/// How long a command may take to end by itself.
const END_TIME: Duration = Duration::from_millis(700);
/// How long one that serves may take to leave in good order.
pub const LEAVE_TIME: Duration = Duration::from_secs(10);
/// Whoever does not read our last words in this time does not get them.
const WORDS_TIME: Duration = Duration::from_millis(100);

/// What the signals do in this process.
struct Signals {
    stop: StopFlag,
    heard: watch::Sender<bool>,
    end_ms: AtomicU64,
}

impl Signals {
    /// Until the time to end is over. It may become longer meanwhile: a command that began to serve has more.
    async fn end_time(&self) {
        let start = Instant::now();
        let left = || {
            let all = Duration::from_millis(self.end_ms.load(Ordering::Relaxed));
            all.checked_sub(start.elapsed()).filter(|left| !left.is_zero())
        };
        while let Some(left) = left() {
            tokio::time::sleep(left.min(END_TIME)).await;
        }
    }
}

fn signals() -> &'static Arc<Signals> {
    static SIGNALS: OnceLock<Arc<Signals>> = OnceLock::new();
    SIGNALS.get_or_init(|| {
        Arc::new(Signals {
            stop: StopFlag::default(),
            heard: watch::Sender::new(false),
            end_ms: AtomicU64::new(END_TIME.as_millis() as u64),
        })
    })
}

/// Raised by a signal: what runs then ends by itself, and keeps what is finished.
pub fn stop_flag() -> StopFlag {
    signals().stop.clone()
}

/// Returns once a signal has come.
pub async fn interrupted() {
    let mut heard = signals().heard.subscribe();
    // The sender lives as long as the process.
    let _it_was_sent = heard.wait_for(|heard| *heard).await;
}

/// As [`interrupted`], for a command that serves: from here on it has time to leave.
pub async fn asked_to_leave() {
    signals().end_ms.store(LEAVE_TIME.as_millis() as u64, Ordering::Relaxed);
    interrupted().await;
}

/// What an interrupted command ends with.
pub fn failure() -> Failure {
    Failure::new(ErrorKind::Interrupted, anyhow!("interrupted"))
}

/// Hears the signals from here on. `last_words` are what a command says that is ended over its head.
///
/// # Errors
/// Where the system does not let it.
pub fn listen(last_words: impl Fn(&Terminal) + Send + Sync + 'static, terminal: Terminal) -> Outcome<()> {
    let (ready, is_ready) = mpsc::channel();
    let last_words = Arc::new(move || last_words(&terminal));
    let hear = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return drop(ready.send(Err(error))),
        };
        runtime.block_on(async {
            let mut source = match Source::open() {
                Ok(source) => source,
                Err(error) => return drop(ready.send(Err(error))),
            };
            let _the_command_waits = ready.send(Ok(()));
            source.next().await;
            let state = signals();
            state.stop.stop();
            state.heard.send_replace(true);
            tokio::select! {
                () = state.end_time() => {}
                () = source.next() => {}
            }
            end(last_words);
        });
    };
    let thread = thread::Builder::new().name("signals".to_owned()).spawn(hear);
    thread.context("cannot start a thread for signals").map_err(Failure::host)?;
    let is_ready = is_ready.recv().context("the thread for signals ended").map_err(Failure::host)?;
    is_ready.context("cannot listen to signals").map_err(Failure::host)
}

/// Ends the process, whatever else it is at. Workers end with it.
fn end(last_words: Arc<dyn Fn() + Send + Sync>) -> ! {
    staging::remove_all();
    let (said, is_said) = mpsc::channel();
    // A reader that does not read could hold a write for ever.
    thread::spawn(move || {
        last_words();
        let _nobody_may_wait = said.send(());
    });
    let _said_or_not = is_said.recv_timeout(WORDS_TIME);
    std::process::exit(1)
}

/// Where signals come from.
#[cfg(unix)]
struct Source {
    signals: Vec<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Source {
    fn open() -> std::io::Result<Source> {
        use tokio::signal::unix::{SignalKind, signal};
        let mut kinds = vec![
            SignalKind::interrupt(),
            SignalKind::terminate(),
            SignalKind::quit(),
            SignalKind::alarm(),
            SignalKind::user_defined1(),
            SignalKind::user_defined2(),
        ];
        if !is_ignored(SignalKind::hangup()) {
            kinds.push(SignalKind::hangup());
        }
        let signals = kinds.into_iter().map(signal).collect::<std::io::Result<_>>()?;
        Ok(Source { signals })
    }

    async fn next(&mut self) {
        std::future::poll_fn(|context| {
            let mut heard = Poll::Pending;
            for signal in &mut self.signals {
                // Each is asked, so that each wakes us.
                if signal.poll_recv(context).is_ready() {
                    heard = Poll::Ready(());
                }
            }
            heard
        })
        .await;
    }
}

/// Whether who started this process wants a signal to be ignored. Where the system does not say, it is taken to be:
/// a signal that is not heard does what it always did.
#[cfg(unix)]
fn is_ignored(signal: tokio::signal::unix::SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_none_or(|mask| (mask >> (signal.as_raw_value() - 1)) & 1 == 1)
}

/// Where signals come from.
#[cfg(not(unix))]
struct Source;

#[cfg(not(unix))]
impl Source {
    fn open() -> std::io::Result<Source> {
        Ok(Source)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
