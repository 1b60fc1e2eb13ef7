//! How many requests an identity or an address may send: a bucket each that fills with time.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anneal_job::Identity;

/// Buckets at once. Full ones are as good as none, and go first.
const BUCKETS_MAX: usize = 200_000;

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// Who signed.
    Identity(Identity),
    /// Who did not.
    Address(IpAddr),
}

/// The buckets.
pub(super) struct Rates {
    buckets: Mutex<HashMap<Subject, Bucket>>,
    per_second: f64,
    burst: f64,
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rates {
    pub(super) fn new(per_minute: u32, burst: u32) -> Rates {
        let per_second = f64::from(per_minute.max(1)) / 60.0;
        Rates { buckets: Mutex::default(), per_second, burst: f64::from(burst.max(1)) }
    }

    /// Counts a request; `Err` says after how long another may come.
    pub(super) fn take(&self, subject: Subject, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&subject) {
            let (per_second, burst) = (self.per_second, self.burst);
            buckets.retain(|_, bucket| bucket.level(now, per_second, burst) < burst);
            if buckets.len() >= BUCKETS_MAX {
                return Err(Duration::from_secs(1));
            }
        }
        let bucket = buckets.entry(subject).or_insert(Bucket { tokens: self.burst, at: now });
        let level = bucket.level(now, self.per_second, self.burst);
        if level < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - level) / self.per_second));
        }
        *bucket = Bucket { tokens: level - 1.0, at: now };
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
        let rates = Rates::new(60, 2);
        let start = Instant::now();
        let (one, two) = (Subject::Address([127, 0, 0, 1].into()), Subject::Address([127, 0, 0, 2].into()));
        assert_eq!(rates.take(one, start), Ok(()));
        assert_eq!(rates.take(one, start), Ok(()));
        assert_eq!(rates.take(one, start), Err(Duration::from_secs(1)));
        assert_eq!(rates.take(two, start), Ok(()));
        assert_eq!(rates.take(one, start + Duration::from_secs(1)), Ok(()));
        assert!(rates.take(one, start + Duration::from_secs(1)).is_err());
    }
}
