//! Power from a counter of energy: the mean between two readings, which is what a policy wants. A counter
//! that begins again is followed where it says at what it does so.

use std::time::{Duration, Instant};

use anneal_policy::Watts;

/// Readings nearer to each other say more about the counter's steps than about the power.
pub(crate) const SPAN_MIN: Duration = Duration::from_millis(100);
/// A mean over longer hides what it is for.
const SPAN_MAX: Duration = Duration::from_secs(10);

/// A counter's last reading.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EnergyMeter {
    last: Option<(Instant, u64)>,
    watts: Option<Watts>,
}

impl EnergyMeter {
    /// The mean power since the last reading, in microjoules, or the one before where that was a moment ago.
    /// None for the first reading, after a long time, and where the counter fell without `wraps_at`.
    pub(crate) fn read(&mut self, now: Instant, energy_uj: u64, wraps_at: Option<u64>) -> Option<Watts> {
        let Some((then, before_uj)) = self.last else {
            self.last = Some((now, energy_uj));
            return None;
        };
        let span = now.saturating_duration_since(then);
        if span < SPAN_MIN {
            return self.watts;
        }
        self.last = Some((now, energy_uj));
        let is_recent = span <= SPAN_MAX;
        self.watts = used(before_uj, energy_uj, wraps_at)
            .filter(|_| is_recent)
            .map(|joules_millionth| Watts(joules_millionth as f64 / 1e6 / span.as_secs_f64()));
        self.watts
    }
}

/// What a counter counted between two readings. It begins again after `wraps_at`.
fn used(before_uj: u64, after_uj: u64, wraps_at: Option<u64>) -> Option<u64> {
    if after_uj >= before_uj {
        return Some(after_uj - before_uj);
    }
    let left = wraps_at?.checked_sub(before_uj)?;
    left.checked_add(after_uj)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readings at milliseconds, and the power after each.
    fn check(wraps_at: Option<u64>, readings: &[(u64, u64, Option<f64>)]) {
        let start = Instant::now();
        let mut meter = EnergyMeter::default();
        for &(at_ms, energy_uj, watts) in readings {
            let read = meter.read(start + Duration::from_millis(at_ms), energy_uj, wraps_at);
            assert_eq!(read.map(|watts| watts.0), watts, "at {at_ms} ms of {readings:?}");
        }
    }

    #[test]
    fn power_is_the_mean_between_readings() {
        check(None, &[(0, 5_000_000, None), (1000, 65_000_000, Some(60.0)), (3000, 85_000_000, Some(10.0))]);
        // Too near: the one before. The next mean is over the whole time.
        check(
            None,
            &[(0, 0, None), (50, 9, None), (1000, 7_000_000, Some(7.0)), (1050, 9_000_000, Some(7.0))],
        );
        // Standing still is no power at all, which is a value.
        check(None, &[(0, 4, None), (500, 4, Some(0.0))]);
    }

    #[test]
    fn a_counter_that_begins_again_is_followed_only_where_it_says_when() {
        let range = Some(262_143_328_850);
        check(range, &[(0, 262_143_328_000, None), (1000, 29_999_150, Some(30.0))]);
        check(None, &[(0, 262_143_328_000, None), (1000, 29_999_150, None), (2000, 39_999_150, Some(10.0))]);
        // A counter above its own range is broken.
        check(Some(100), &[(0, 1000, None), (1000, 10, None)]);
    }

    #[test]
    fn after_a_sleep_it_begins_anew() {
        check(None, &[(0, 0, None), (60_000, 60_000_000, None), (61_000, 61_000_000, Some(1.0))]);
    }
}
