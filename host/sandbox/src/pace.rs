//! How fast an attempt may go, told from outside: a handle that whoever has a policy sets, and the governor that
//! holds the attempt to it. Invisible to the guest, and never a result.
//!
//! A handle may be watched: then each word is good for a while only, and where none comes any more, the pace is
//! a pause until one comes. So an attempt whose owner's rules nobody looks after stands by itself.
//!
//! A process that does not hold itself is stopped by its parent (`brake`). That time is nobody's work: [`Stopwatch`]
//! leaves it out.

use std::{
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anneal_tensor::{
    ExecutorError, Gate, Pace,
    governor::{Advice, DutyMeter, TimeSpent},
};
use serde::{Deserialize, Serialize};

use crate::run::StopFlag;

/// How often one who stands looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(20);

/// Somebody looks at the time this often at least, while the process runs: a longer gap is one that it was stopped
/// for.
const GAP_MIN: Duration = Duration::from_secs(1);

/// Sets the pace of an attempt from another thread. The default is full, and is not watched.
#[derive(Clone, Debug)]
pub struct PaceHandle(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    told: Mutex<Told>,
    changed: Condvar,
    /// How long a word is good for.
    good_for: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    pace: Pace,
    /// `None` before the first word.
    at: Option<Instant>,
}

/// How an attempt was held, said about once a second and when it changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaceReport {
    /// The pace in thousandths of the time; 0 is a pause.
    pub per_mille: u16,
    /// It pauses by itself, because no word came for too long.
    pub unheard: bool,
    /// It stands now: what works passes no gate, and a GPU has finished what it was handed.
    pub stands: bool,
    /// Milliseconds at work.
    pub busy_ms: u64,
    /// Milliseconds held.
    pub held_ms: u64,
    /// How many times it was held.
    pub holds: u64,
}

/// Holds one attempt to its pace.
#[derive(Clone, Debug)]
pub(crate) struct Governor(Arc<Governing>);

#[derive(Debug)]
struct Governing {
    pace: PaceHandle,
    stop: StopFlag,
    watch: Stopwatch,
    meter: Mutex<DutyMeter>,
    /// Threads that are held at the gate.
    standing: AtomicUsize,
}

/// Time as this process has it: what it was stopped for from outside is left out, and counted.
#[derive(Debug)]
struct Stopwatch {
    began: Instant,
    /// When it was looked at last, and what it was stopped for until then.
    looked: Mutex<(Instant, Duration)>,
}

impl Stopwatch {
    fn start(now: Instant) -> Stopwatch {
        Stopwatch { began: now, looked: Mutex::new((now, Duration::ZERO)) }
    }

    /// How long the process has run at this time, and how long it was stopped. Whoever looks first after a stop counts
    /// it, so nobody ever takes it for work.
    fn look(&self, now: Instant) -> (Duration, Duration) {
        let mut looked = lock(&self.looked);
        let gap = now.saturating_duration_since(looked.0);
        if gap > GAP_MIN {
            looked.1 += gap;
        }
        looked.0 = looked.0.max(now);
        (now.saturating_duration_since(self.began).saturating_sub(looked.1), looked.1)
    }
}

impl PaceHandle {
    /// A handle whose word is good until the next.
    pub fn new(pace: Pace) -> PaceHandle {
        PaceHandle::made(pace, Some(Instant::now()), None)
    }

    /// A handle that pauses until the first word, and whenever none has come for so long.
    pub fn watched(good_for: Duration) -> PaceHandle {
        PaceHandle::made(Pace::Pause, None, Some(good_for))
    }

    fn made(pace: Pace, at: Option<Instant>, good_for: Option<Duration>) -> PaceHandle {
        let told = Mutex::new(Told { pace, at });
        PaceHandle(Arc::new(Shared { told, changed: Condvar::new(), good_for }))
    }

    /// From now on.
    pub fn set(&self, pace: Pace) {
        *lock(&self.0.told) = Told { pace, at: Some(Instant::now()) };
        self.0.changed.notify_all();
    }

    /// The pace now: what was said last, or a pause where that is too long ago.
    pub fn pace(&self) -> Pace {
        self.heard().unwrap_or(Pace::Pause)
    }

    /// The pace, where a word of it is still good.
    fn heard(&self) -> Option<Pace> {
        let Told { pace, at } = *lock(&self.0.told);
        let is_good = match (at, self.0.good_for) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(at), Some(good_for)) => at.elapsed() < good_for,
        };
        is_good.then_some(pace)
    }

    /// Waits until the pace changes, but not longer than this; may return early.
    fn wait(&self, time: Duration) {
        let told = lock(&self.0.told);
        let _either_way = self.0.changed.wait_timeout(told, time);
    }

    /// Returns once the pace is not a pause, or when it is to stop.
    pub fn wait_to_run(&self, stop: &StopFlag) {
        while self.pace() == Pace::Pause && !stop.is_stopped() {
            self.wait(LOOK);
        }
    }
}

impl Default for PaceHandle {
    fn default() -> Self {
        PaceHandle::new(Pace::FULL)
    }
}

impl Governor {
    pub(crate) fn new(pace: PaceHandle, stop: StopFlag) -> Governor {
        let meter = Mutex::new(DutyMeter::new());
        let watch = Stopwatch::start(Instant::now());
        Governor(Arc::new(Governing { pace, stop, watch, meter, standing: AtomicUsize::new(0) }))
    }

    /// Where the time went until now. Held is also what the process was stopped for.
    pub(crate) fn spent(&self) -> TimeSpent {
        let (ran, stopped) = self.0.watch.look(Instant::now());
        let spent = lock(&self.0.meter).spent(ran);
        TimeSpent { held: spent.held + stopped, ..spent }
    }

    pub(crate) fn report(&self) -> PaceReport {
        let heard = self.0.pace.heard();
        let spent = self.spent();
        PaceReport {
            per_mille: heard.map_or(0, Pace::per_mille),
            unheard: heard.is_none(),
            stands: self.0.standing.load(Ordering::Relaxed) > 0,
            busy_ms: milliseconds(spent.busy),
            held_ms: milliseconds(spent.held),
            holds: spent.holds,
        }
    }
}

impl Gate for Governor {
    fn limits(&self) -> bool {
        self.0.pace.pace() != Pace::FULL
    }

    fn pass(&self) -> Result<(), ExecutorError> {
        let Governing { pace, stop, watch, meter, standing } = &*self.0;
        let mut stands = None;
        loop {
            if stop.is_stopped() {
                return Err(ExecutorError::Stopped);
            }
            let (ran, _) = watch.look(Instant::now());
            let advice = lock(meter).ask(ran, pace.pace());
            match advice {
                Advice::Go => return Ok(()),
                Advice::Stand(time) => {
                    stands.get_or_insert_with(|| Standing::begin(standing));
                    pace.wait(time.unwrap_or(LOOK).min(LOOK));
                }
            }
        }
    }
}

/// A thread at the gate, for as long as this lives.
struct Standing<'a>(&'a AtomicUsize);

impl Standing<'_> {
    fn begin(count: &AtomicUsize) -> Standing<'_> {
        count.fetch_add(1, Ordering::Relaxed);
        Standing(count)
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn one_who_stands_goes_on_at_a_word_and_ends_at_a_stop() {
        let (pace, stop) = (PaceHandle::new(Pace::Pause), StopFlag::default());
        let governor = Governor::new(pace.clone(), stop.clone());
        let held = governor.clone();
        let standing = thread::spawn(move || (held.pass(), held.pass(), held.pass()));
        // It cannot have passed: nobody has said a word yet.
        while governor.spent().holds == 0 {
            thread::yield_now();
        }
        pace.set(Pace::FULL);
        while governor.0.pace.pace() != Pace::FULL {}
        let (first, second, third) = standing.join().expect("it does not panic");
        assert!(first.is_ok() && second.is_ok() && third.is_ok());
        stop.stop();
        assert!(matches!(governor.pass(), Err(ExecutorError::Stopped)));
    }

    #[test]
    fn what_a_process_was_stopped_for_is_no_work() {
        let began = Instant::now();
        let watch = Stopwatch::start(began);
        let seconds = Duration::from_secs;
        for (at, ran, stopped) in
            [(1, 1, 0), (2, 2, 0), (602, 2, 600), (603, 3, 600), (700, 3, 697), (0, 3, 697)]
        {
            // The last looks a moment too late: its time is before another's.
            let (at, ran, stopped) = (began + seconds(at), seconds(ran), seconds(stopped));
            let found = watch.look(at);
            let expected = if at == began { (Duration::ZERO, stopped) } else { (ran, stopped) };
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_watched_word_is_good_for_a_while_only() {
        let pace = PaceHandle::watched(Duration::ZERO);
        assert_eq!(pace.pace(), Pace::Pause);
        pace.set(Pace::FULL);
        // No time is shorter than none.
        assert_eq!(pace.pace(), Pace::Pause);
        assert!(Governor::new(pace, StopFlag::default()).report().unheard);
        let pace = PaceHandle::watched(Duration::from_secs(3600));
        assert_eq!(pace.pace(), Pace::Pause);
        pace.set(Pace::FULL);
        assert_eq!(pace.pace(), Pace::FULL);
        assert!(!Governor::new(pace.clone(), StopFlag::default()).report().unheard);
        pace.set(Pace::Pause);
        assert_eq!(pace.pace(), Pace::Pause);
    }
}
