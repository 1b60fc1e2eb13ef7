//! The coordinator's clock: the system's, but it never runs backwards and never stands still. Where the system's is set
//! back, or this one is ahead because the system's once was, it goes at half the pace until they agree again: deadlines
//! that were promised are kept, and hours that never were are given back. Either is said, in the log of the process and
//! in `/v1/health`.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use anneal_job::Timestamp;

/// Where this clock stands.
static CLOCK: Mutex<Option<Clock>> = Mutex::new(None);

/// Ahead of the system's by more than this, or jumped by more than this, is said.
const SAID_MS: u64 = 60_000;

/// Milliseconds since 1970.
pub(crate) fn clock() -> Timestamp {
    told(Timestamp(0))
}

/// From here on it is no earlier than this: what a store says that has been.
pub(crate) fn not_before(known: Timestamp) {
    told(known);
}

/// How far this clock is ahead of the system's, in milliseconds.
pub(crate) fn ahead_ms() -> u64 {
    clock().0.saturating_sub(wall().0)
}

fn wall() -> Timestamp {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp(wall.map_or(0, |since| since.as_millis() as u64))
}

fn told(known: Timestamp) -> Timestamp {
    let mut clock = CLOCK.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    let wall = wall();
    let (next, said) = match clock.take() {
        None => Clock::begin(wall, now).known(known, wall, now),
        Some(clock) => clock.read(wall, now).known(known, wall, now),
    };
    match said {
        Some(Said::Jumped { ms }) => tracing::warn!(
            minutes = ms / 60_000,
            "the system's clock has jumped ahead and is followed: deadlines within that time have passed; if it is wrong, \
             set it right, and this clock goes at half the pace until they agree"
        ),
        Some(Said::Ahead { ms }) => tracing::warn!(
            minutes = ms / 60_000,
            "this coordinator's clock is ahead of the system's: it goes at half the pace until they agree; check the \
             system's clock"
        ),
        Some(Said::Agrees) => tracing::info!("this coordinator's clock agrees with the system's again"),
        None => {}
    }
    let at = next.last;
    *clock = Some(next);
    at
}

/// A reading of the clock, and what the next goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clock {
    /// What was told last.
    last: Timestamp,
    /// Where it is counted from, by a clock that nobody sets: adding up rounded pieces would lose time.
    from: (Timestamp, Instant),
    /// The system's clock at that reading.
    wall: Timestamp,
    /// Whether it goes at half the pace.
    is_slow: bool,
    /// Whether it was said that it is ahead.
    is_said: bool,
}

/// What people are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    /// The system's clock went on by so much more than time did.
    Jumped { ms: u64 },
    /// This one is ahead by so much.
    Ahead { ms: u64 },
    /// They agree again.
    Agrees,
}

impl Clock {
    fn begin(wall: Timestamp, now: Instant) -> Clock {
        Clock { last: wall, from: (wall, now), wall, is_slow: false, is_said: false }
    }

    /// The time now, with the system's clock showing `wall`.
    fn read(self, wall: Timestamp, now: Instant) -> (Clock, Option<Said>) {
        let (start, since) = self.from;
        let elapsed = now.saturating_duration_since(since);
        let pace = if self.is_slow { elapsed / 2 } else { elapsed };
        let due = Timestamp(start.0.saturating_add(ms(pace))).max(self.last);
        if wall >= due {
            let jumped = wall.0.saturating_sub(start.0.saturating_add(ms(elapsed)));
            let said = match (self.is_said, jumped > SAID_MS) {
                (_, true) => Some(Said::Jumped { ms: jumped }),
                (true, false) => Some(Said::Agrees),
                (false, false) => None,
            };
            return (Clock::begin(wall, now), said);
        }
        let ahead = due.0 - wall.0;
        let said = (ahead > SAID_MS && !self.is_said).then_some(Said::Ahead { ms: ahead });
        let is_said = self.is_said || said.is_some();
        if self.is_slow {
            return (Clock { last: due, wall, is_said, ..self }, said);
        }
        // From here on it is counted at half the pace.
        (Clock { last: due, from: (due, now), wall, is_slow: true, is_said }, said)
    }
}

/// A reading with what was said of it.
trait Known {
    fn known(self, known: Timestamp, wall: Timestamp, now: Instant) -> (Clock, Option<Said>);
}

impl Known for (Clock, Option<Said>) {
    /// The same, no earlier than this.
    fn known(self, known: Timestamp, wall: Timestamp, now: Instant) -> (Clock, Option<Said>) {
        let (clock, said) = self;
        if known <= clock.last {
            return self;
        }
        let ahead = known.0.saturating_sub(wall.0);
        let said = if ahead > SAID_MS && !clock.is_said { Some(Said::Ahead { ms: ahead }) } else { said };
        let is_said = clock.is_said || ahead > SAID_MS;
        (Clock { last: known, from: (known, now), wall, is_slow: ahead > 0, is_said }, said)
    }
}

impl Known for Clock {
    fn known(self, known: Timestamp, wall: Timestamp, now: Instant) -> (Clock, Option<Said>) {
        (self, None).known(known, wall, now)
    }
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(12 * HOUR);
    const HOUR: u64 = 3_600_000;
    const MINUTE: u64 = 60_000;

    /// A clock that is read once a second while the system's runs with these jumps at these seconds.
    fn run(jumps: &[(u64, i64)], seconds: u64) -> (Vec<Timestamp>, Vec<Said>, Timestamp) {
        let begun = Instant::now();
        let (mut clock, mut wall) = (Clock::begin(NOON, begun), NOON);
        let (mut told, mut all) = (Vec::new(), Vec::new());
        for second in 1..=seconds {
            let jump: i64 = jumps.iter().filter(|(at, _)| *at == second).map(|(_, ms)| ms).sum();
            wall = Timestamp(wall.0.saturating_add(1_000).saturating_add_signed(jump));
            let (next, said) = clock.read(wall, begun + Duration::from_secs(second));
            assert!(next.last >= clock.last, "it runs backwards");
            clock = next;
            told.push(clock.last);
            all.extend(said);
        }
        (told, all, wall)
    }

    #[test]
    fn it_is_the_systems_while_nobody_sets_that() {
        let (told, said, wall) = run(&[], 100);
        assert_eq!((told.last(), said.len()), (Some(&wall), 0));
        assert_eq!(told.len(), 100);
    }

    #[test]
    fn hours_ahead_are_followed_and_said_and_given_back() {
        // Ahead by five hours for a minute, then set right.
        let five = 5 * HOUR as i64;
        let (told, said, wall) = run(&[(60, five), (120, -five)], 11 * 3600);
        assert_eq!(said[0], Said::Jumped { ms: 5 * HOUR });
        assert!(matches!(said[1], Said::Ahead { ms } if ms.abs_diff(5 * HOUR) <= 1_000), "{said:?}");
        assert_eq!(said[2..], [Said::Agrees]);
        assert_eq!(told.last(), Some(&wall), "after twice the hours they agree");
        // Meanwhile it goes on, at half the pace.
        let hour = told[2 * 3600].0 - told[3600].0;
        assert_eq!(hour, HOUR / 2);
    }

    #[test]
    fn one_that_is_set_back_a_little_is_not_spoken_of() {
        let (told, said, wall) = run(&[(10, -30_000)], 100);
        assert_eq!((told.last(), said.len()), (Some(&wall), 0));
        assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "it never stands still");
    }

    #[test]
    fn what_a_store_says_has_been_is_not_before_now() {
        let now = Instant::now();
        let clock = Clock::begin(NOON, now);
        let later = Timestamp(NOON.0 + 5 * HOUR);
        let (clock, said) = clock.known(later, NOON, now);
        assert_eq!((clock.last, said), (later, Some(Said::Ahead { ms: 5 * HOUR })));
        let (clock, said) = clock.read(Timestamp(NOON.0 + MINUTE), now + Duration::from_secs(60));
        assert_eq!((clock.last.0, said), (later.0 + MINUTE / 2, None), "said once");
        let (clock, _) = clock.known(NOON, NOON, now);
        assert_eq!(clock.last.0, later.0 + MINUTE / 2);
    }

    #[test]
    fn it_is_never_before_what_has_been() {
        let before = clock();
        let known = Timestamp(before.0 + 5_000);
        not_before(known);
        let after = clock();
        assert!(after >= known && after >= before, "{after:?}");
        assert!(clock() >= after);
    }
}
