//! Places that strangers hold while something of theirs is under way: a connection, a large body in memory. Who gets
//! one is decided in `fair`; here are the clock, the lock and the waiting.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::{
    config::Limits,
    fair::{Bounds, Fair, Full, Party, Passed, Ticket},
};

/// How often who waits looks whether somebody must go for it.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What makes a place worth keeping where somebody else wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Worth {
    /// What has come through it.
    Amount,
    /// How fast it has come, in a second.
    Rate,
}

/// A body keeps its place so long, however slow it is.
const BODY_GRACE: Duration = Duration::from_secs(5);
/// Bytes a second at which a body is left alone while others with as many places wait.
const BODY_BYTES_PER_SECOND: u64 = 64 << 10;
/// Requests may be answered so long, however many somebody has.
const ANSWERING_GRACE: Duration = Duration::from_secs(5);
/// Who may wait for a place of one kind.
const WAITING_MAX: usize = 4_096;
/// Jobs that are read at once, for who looks at them: other readers never wait for more than one.
const READERS_MAX: usize = 1;
/// Requests of one key that may wait for that.
const READERS_WAITING_KEY_MAX: usize = 64;

/// The places for large bodies, and those for requests that are being answered.
pub(crate) fn of_requests(limits: &Limits) -> (Places, Places) {
    let bodies = Bounds {
        key: limits.identity_large_bodies_max,
        prefix: limits.prefix_large_bodies_max,
        total: limits.large_bodies_max,
        waiting: WAITING_MAX,
        waiting_key: limits.identity_large_bodies_max,
    };
    let answering = Bounds {
        key: limits.identity_answering_max,
        prefix: limits.prefix_answering_max,
        total: limits.answering_max,
        waiting: 0,
        waiting_key: 0,
    };
    (
        Places::new(bodies, Worth::Rate, BODY_BYTES_PER_SECOND, BODY_GRACE),
        Places::new(answering, Worth::Amount, 0, ANSWERING_GRACE),
    )
}

/// The places for reading what may be large. Whoever reads is not sent away: only turns are shared out.
pub(crate) fn of_readers() -> Places {
    let bounds = Bounds {
        key: READERS_MAX,
        prefix: READERS_MAX,
        total: READERS_MAX,
        waiting: WAITING_MAX,
        waiting_key: READERS_WAITING_KEY_MAX,
    };
    Places::new(bounds, Worth::Amount, 0, Duration::MAX)
}

/// The places. Cheap to clone; clones share them.
#[derive(Clone)]
pub(crate) struct Places(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    worth: Worth,
    /// What a place must be worth to be left alone by an equal.
    enough: u64,
    /// Nobody is asked to go before that.
    grace: Duration,
}

struct State {
    fair: Fair,
    known: HashMap<Ticket, Known>,
}

struct Known {
    since: Instant,
    signal: Arc<Signal>,
}

#[derive(Default)]
struct Signal {
    amount: AtomicU64,
    granted: Notify,
    go: Notify,
}

/// A place; given up when dropped.
pub(crate) struct Place {
    places: Places,
    ticket: Ticket,
    signal: Arc<Signal>,
}

impl Places {
    /// So many places. Whoever has one keeps it for the time of grace, and longer where it is worth enough or nobody
    /// has a better right to it.
    pub(crate) fn new(bounds: Bounds, worth: Worth, enough: u64, grace: Duration) -> Places {
        let state = State { fair: Fair::new(bounds), known: HashMap::new() };
        Places(Arc::new(Inner { state: Mutex::new(state), worth, enough, grace }))
    }

    /// A place at once, perhaps that of somebody with more of them.
    pub(crate) fn enter(&self, party: Party) -> Result<Place, Full> {
        let mut state = self.state();
        if state.fair.is_full() {
            self.value(&mut state);
        }
        let State { fair, known } = &mut *state;
        let may_go = |ticket: Ticket| self.may_go(known, ticket);
        let (ticket, gone) = fair.enter(party, self.0.enough, may_go)?;
        state.go(gone);
        Ok(self.place(&mut state, ticket))
    }

    /// A place when it is this party's turn, or as soon as somebody with a lesser right to it can be asked to go;
    /// waits so long at most.
    pub(crate) async fn wait(&self, party: Party, patience: Duration) -> Result<Place, Full> {
        let place = {
            let mut state = self.state();
            let ticket = state.fair.wait(party)?;
            let place = self.place(&mut state, ticket);
            state.grant();
            place
        };
        let deadline = Instant::now() + patience;
        while !self.has(&place) {
            if Instant::now() >= deadline {
                return Err(Full::Total);
            }
            tokio::select! {
                () = place.signal.granted.notified() => {}
                () = tokio::time::sleep_until(deadline.min(Instant::now() + LOOK_EVERY)) => {}
            }
        }
        Ok(place)
    }

    /// Whether it is its turn, or can be.
    fn has(&self, place: &Place) -> bool {
        let mut state = self.state();
        if state.fair.holds(place.ticket) {
            return true;
        }
        self.value(&mut state);
        let State { fair, known } = &mut *state;
        let may_go = |ticket: Ticket| self.may_go(known, ticket);
        if let Some(Passed { from, to }) = fair.pass(self.0.enough, may_go) {
            state.go(Some(from));
            state.granted(to);
        }
        state.fair.holds(place.ticket)
    }

    /// Says what each place is worth now.
    fn value(&self, state: &mut State) {
        for (ticket, known) in &state.known {
            let amount = known.signal.amount.load(Relaxed);
            let worth = match self.0.worth {
                Worth::Amount => amount,
                Worth::Rate => {
                    let ms = known.since.elapsed().as_millis().max(1);
                    u64::try_from(u128::from(amount) * 1_000 / ms).unwrap_or(u64::MAX)
                }
            };
            state.fair.value(*ticket, worth);
        }
    }

    fn may_go(&self, known: &HashMap<Ticket, Known>, ticket: Ticket) -> bool {
        known.get(&ticket).is_none_or(|known| known.since.elapsed() >= self.0.grace)
    }

    fn place(&self, state: &mut State, ticket: Ticket) -> Place {
        let signal = Arc::new(Signal::default());
        state.known.insert(ticket, Known { since: Instant::now(), signal: signal.clone() });
        Place { places: self.clone(), ticket, signal }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn go(&self, ticket: Option<Ticket>) {
        if let Some(known) = ticket.and_then(|ticket| self.known.get(&ticket)) {
            known.signal.go.notify_one();
        }
    }

    fn granted(&mut self, ticket: Ticket) {
        if let Some(known) = self.known.get_mut(&ticket) {
            known.since = Instant::now();
            known.signal.granted.notify_one();
        }
    }

    fn grant(&mut self) {
        while let Some(ticket) = self.fair.grant() {
            self.granted(ticket);
        }
    }
}

impl Place {
    /// Something has come through it.
    pub(crate) fn add(&self, amount: u64) {
        self.signal.amount.fetch_add(amount, Relaxed);
    }

    /// Returns when somebody with a better right has got it.
    pub(crate) async fn lost(&self) {
        self.signal.go.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.places.state();
        state.fair.leave(self.ticket);
        state.known.remove(&self.ticket);
        state.grant();
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const BOUNDS: Bounds = Bounds { key: 2, prefix: 3, total: 4, waiting: 100, waiting_key: 4 };

    fn party(prefix: u8, host: u8) -> Party {
        Party::unsigned(IpAddr::from([10, 0, prefix, host]))
    }

    #[tokio::test]
    async fn a_place_is_given_in_turn_and_comes_back() {
        let places = Places::new(BOUNDS, Worth::Rate, 10, Duration::ZERO);
        let patience = Duration::from_secs(30);
        let mut held = Vec::new();
        for prefix in 0..4 {
            held.push(places.wait(party(prefix, 1), patience).await.expect("there is room"));
        }
        // Fast ones of equals are left alone; whose time is over waits in vain.
        held.iter().for_each(|place| place.add(1_000_000));
        assert_eq!(places.wait(party(9, 1), Duration::ZERO).await.err(), Some(Full::Total));
        let waiting = tokio::spawn({
            let places = places.clone();
            async move { places.wait(party(9, 1), patience).await }
        });
        tokio::task::yield_now().await;
        held.truncate(3);
        assert!(waiting.await.expect("it ran").is_ok());
    }

    #[tokio::test]
    async fn who_has_most_and_is_slow_must_go() {
        let places = Places::new(BOUNDS, Worth::Rate, 10, Duration::ZERO);
        let patience = Duration::from_secs(30);
        let mut slow = Vec::new();
        for host in 0..4 {
            let prefix = u8::from(host == 3);
            slow.push(places.wait(party(prefix, host), patience).await.expect("there is room"));
        }
        slow[0].add(1_000_000_000);
        let honest = places.wait(party(2, 1), patience).await.expect("somebody goes");
        // Of the prefix with most, the oldest of those that brought nothing.
        slow[1].lost().await;
        drop(slow.remove(1));
        drop(honest);
        assert!(places.enter(party(3, 1)).is_ok(), "a place that was lost does not come back twice");
    }
}
