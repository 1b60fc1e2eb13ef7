//! The coordinator's clock: the system's, but it never runs backwards and never stands still. Where the system's
//! is set back, time goes on from where it was; what the log says has been is never in the future.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use anneal_job::Timestamp;

/// The last time that was told, and when that was by a clock that nobody sets.
static LAST: Mutex<Option<(Timestamp, Instant)>> = Mutex::new(None);

/// Milliseconds since 1970.
pub(crate) fn clock() -> Timestamp {
    told(Timestamp(0))
}

/// From here on it is no earlier than this: what a store says that has been.
pub(crate) fn not_before(known: Timestamp) {
    told(known);
}

fn told(known: Timestamp) -> Timestamp {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let wall = Timestamp(wall.map_or(0, |since| since.as_millis() as u64));
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let now = match &*last {
        None => wall,
        Some((told, at)) => later(*told, at.elapsed(), wall),
    };
    let now = now.max(known);
    // Counted from one reading as long as it goes: adding up rounded pieces would lose time.
    let goes_on = last.is_some_and(|(told, at)| now <= later(told, at.elapsed(), Timestamp(0)));
    if !goes_on {
        *last = Some((now, Instant::now()));
    }
    now
}

/// The time, so long after it was `last`, with the system's clock showing `wall`.
fn later(last: Timestamp, elapsed: Duration, wall: Timestamp) -> Timestamp {
    wall.max(Timestamp(last.0.saturating_add(elapsed.as_millis() as u64)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_back_goes_on_and_one_set_forward_is_followed() {
        let hour = 3_600_000;
        let noon = Timestamp(12 * hour);
        let minute = Duration::from_secs(60);
        assert_eq!(later(noon, minute, Timestamp(noon.0 + 60_000)), Timestamp(noon.0 + 60_000));
        assert_eq!(later(noon, minute, Timestamp(noon.0 - hour)), Timestamp(noon.0 + 60_000));
        assert_eq!(later(noon, minute, Timestamp(noon.0 + hour)), Timestamp(noon.0 + hour));
        assert_eq!(later(Timestamp(u64::MAX), minute, noon), Timestamp(u64::MAX));
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
