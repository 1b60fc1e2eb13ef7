//! How many bytes of blobs may travel a second, for all clients that share it, both ways together.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Smaller pieces cost more than they spare.
const PIECE_BYTES_MIN: usize = 16 << 10;

/// A limit of bytes a second. What was sent is waited for before more is: a mean, not a wall.
#[derive(Debug)]
pub struct Throttle {
    bytes_per_second: u64,
    /// When what has travelled so far is paid for.
    free_at: Mutex<Option<Instant>>,
}

impl Throttle {
    /// At least one byte a second.
    pub fn new(bytes_per_second: u64) -> Throttle {
        Throttle { bytes_per_second: bytes_per_second.max(1), free_at: Mutex::new(None) }
    }

    /// How much may travel at once where pieces have up to `most` bytes: a second's worth, so that nobody else on the
    /// line waits for longer.
    pub(super) fn piece(&self, most: usize) -> usize {
        usize::try_from(self.bytes_per_second).unwrap_or(usize::MAX).max(PIECE_BYTES_MIN).min(most)
    }

    /// Waits until so many bytes may travel.
    pub(super) async fn take(&self, bytes: u64) {
        tokio::time::sleep_until(self.begin(Instant::now(), bytes)).await;
    }

    /// When so many bytes may travel.
    fn begin(&self, now: Instant, bytes: u64) -> Instant {
        let takes = Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = free_at.map_or(now, |free_at| free_at.max(now));
        *free_at = Some(begins + takes);
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_travel_at_the_rate_and_what_was_not_used_is_not_saved_up() {
        let throttle = Throttle::new(1000);
        let now = Instant::now();
        let waits = [0, 500, 500, 4000].map(|bytes| (throttle.begin(now, bytes) - now).as_millis());
        assert_eq!(waits, [0, 0, 500, 1000]);
        let half_way = now + Duration::from_secs(3);
        assert_eq!(throttle.begin(half_way, 1000), now + Duration::from_secs(5));
        let later = now + Duration::from_secs(60);
        assert_eq!(throttle.begin(later, 1000), later);
        assert_eq!(throttle.begin(later, 1), later + Duration::from_secs(1));
    }

    #[test]
    fn a_piece_is_what_travels_in_a_second() {
        let pieces = [1, 100_000, u64::MAX].map(|rate| Throttle::new(rate).piece(8 << 20));
        assert_eq!(pieces, [PIECE_BYTES_MIN, 100_000, 8 << 20]);
    }
}
