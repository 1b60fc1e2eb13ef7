//! How often somebody may do something: a bucket each that fills with time. What costs more than was known before
//! leaves a debt, and nothing is allowed until it is paid.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Buckets at once. Full ones are as good as none, and go first.
const BUCKETS_MAX: usize = 200_000;

/// The buckets.
pub(super) struct Rates<K> {
    buckets: Mutex<HashMap<K, Bucket>>,
    per_second: f64,
    burst: f64,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl<K: Hash + Eq> Rates<K> {
    pub(super) fn new(per_minute: f64, burst: f64) -> Rates<K> {
        Rates { buckets: Mutex::default(), per_second: per_minute.max(1.0) / 60.0, burst: burst.max(1.0) }
    }

    /// Counts one; `Err` says after how long another may come.
    pub(super) fn take(&self, who: K, now: Instant) -> Result<(), Duration> {
        self.spend(who, 1.0, 1.0, now)
    }

    /// Whether anything is left; `Err` says after how long there is.
    pub(super) fn check(&self, who: K, now: Instant) -> Result<(), Duration> {
        self.spend(who, 1.0, 0.0, now)
    }

    /// Whether at least half of a bucket is left.
    pub(super) fn is_half_full(&self, who: K, now: Instant) -> bool {
        self.spend(who, self.burst / 2.0, 0.0, now).is_ok()
    }

    /// Counts what was done already, be it more than was left.
    pub(super) fn charge(&self, who: K, amount: u64, now: Instant) {
        // With nothing asked for, nothing is refused but for want of buckets.
        let _ = self.spend(who, f64::MIN, amount as f64, now);
    }

    fn spend(&self, who: K, at_least: f64, amount: f64, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let (per_second, burst) = (self.per_second, self.burst);
        let known = buckets.get(&who).map(|bucket| bucket.level(now, per_second, burst));
        if known.is_none() && buckets.len() >= BUCKETS_MAX {
            buckets.retain(|_, bucket| bucket.level(now, per_second, burst) < burst);
            if buckets.len() >= BUCKETS_MAX {
                return Err(Duration::from_secs(1));
            }
        }
        let level = known.unwrap_or(burst);
        if level < at_least {
            return Err(Duration::from_secs_f64((at_least - level) / per_second));
        }
        if amount > 0.0 {
            // Whoever waits, waits for a time that ends: no debt is deeper than the bucket.
            buckets.insert(who, Bucket { tokens: (level - amount).max(-burst), at: now });
        }
        Ok(())
    }
}

impl Bucket {
    fn level(&self, now: Instant, per_second: f64, burst: f64) -> f64 {
        (self.tokens + now.saturating_duration_since(self.at).as_secs_f64() * per_second).min(burst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_fills_with_time() {
        let rates = Rates::new(60.0, 2.0);
        let start = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(rates.take(1, start), Ok(()));
        assert_eq!(rates.take(1, start), Ok(()));
        assert_eq!(rates.take(1, start), Err(second));
        assert_eq!(rates.take(2, start), Ok(()));
        assert_eq!(rates.take(1, start + second), Ok(()));
        assert!(rates.take(1, start + second).is_err());
    }

    #[test]
    fn a_debt_is_paid_before_anything_is_allowed() {
        let rates = Rates::new(60.0, 10.0);
        let start = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(rates.check(1, start), Ok(()));
        rates.charge(1, 18, start);
        assert_eq!(rates.check(1, start), Err(second * 9));
        assert_eq!(rates.check(2, start), Ok(()));
        assert!(rates.check(1, start + second * 8).is_err());
        assert_eq!(rates.check(1, start + second * 9), Ok(()));
        rates.charge(1, u64::MAX, start + second * 9);
        assert_eq!(rates.check(1, start + second * 9), Err(second * 11), "no debt is deeper than the bucket");
    }
}
