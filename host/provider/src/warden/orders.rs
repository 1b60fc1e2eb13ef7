//! What follows from a decision for a device: its pace, whether it may begin something, whether what it has is to
//! be given back. Pure but for the moments that it is handed.

use std::time::{Duration, Instant};

use anneal_policy::{Decided, Decision, Reason};
use anneal_tensor::{Duty, Pace};

use crate::status::DeviceLimits;

/// A segment that ends so soon may be finished before its lease is given back: the time within which a device
/// yields to its owner.
pub const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// What holds for a device until the next decision. The default is before the first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Orders {
    pub pace: Pace,
    pub begins: bool,
    pub releases: bool,
    /// By the steady clock: work that is to be released goes on until then, to its end.
    finishes_until_ms: Option<u64>,
    pub limits: DeviceLimits,
}

/// Work under way on a device.
#[derive(Clone, Copy, Debug)]
pub(super) struct AtWork {
    pub expected: Duration,
    pub began: Instant,
    /// Done, and of how much.
    pub progress: Option<(u64, u64)>,
}

impl Default for Orders {
    fn default() -> Self {
        let limits = DeviceLimits {
            doing: "pause".to_owned(),
            reasons: vec!["the device has not been looked at yet".to_owned()],
            duty: None,
        };
        Orders { pace: Pace::Pause, begins: false, releases: false, finishes_until_ms: None, limits }
    }
}

impl Orders {
    /// The orders that follow these.
    pub(super) fn after(&self, decided: &Decided, work: Option<&AtWork>, now_ms: u64) -> Orders {
        let stopped = Orders {
            pace: Pace::Pause,
            begins: false,
            releases: false,
            finishes_until_ms: None,
            limits: limits(decided),
        };
        match decided.decision {
            Decision::Run { duty } => Orders {
                pace: Pace::Run { duty: Duty::of_fraction(duty.fraction()) },
                begins: true,
                ..stopped
            },
            Decision::Pause => stopped,
            Decision::Refuse => Orders { releases: true, ..stopped },
            Decision::CheckpointAndRelease => match self.finishes_until(decided, work, now_ms) {
                Some(until_ms) => Orders { pace: self.pace, finishes_until_ms: Some(until_ms), ..stopped },
                None => Orders { releases: true, ..stopped },
            },
        }
    }

    /// Until when work goes on that is to be released: where it runs, ends soon, and nothing that it does is
    /// the reason.
    fn finishes_until(&self, decided: &Decided, work: Option<&AtWork>, now_ms: u64) -> Option<u64> {
        let is_harmless = |reason: &Reason| !matches!(reason, Reason::Channel(_) | Reason::Sensor(_));
        if self.pace == Pace::Pause || !decided.reasons.iter().all(is_harmless) {
            return None;
        }
        let until_ms = match self.finishes_until_ms {
            Some(until_ms) => until_ms,
            None if work?.remaining() <= FINISH_WITHIN => {
                now_ms.saturating_add(FINISH_WITHIN.as_millis() as u64)
            }
            None => return None,
        };
        (now_ms < until_ms).then_some(until_ms)
    }
}

impl AtWork {
    fn remaining(&self) -> Duration {
        remaining(self.expected, self.began.elapsed(), self.progress)
    }
}

/// How long work goes on: by what it says of itself, or else by what was expected.
fn remaining(expected: Duration, elapsed: Duration, progress: Option<(u64, u64)>) -> Duration {
    match progress {
        Some((done @ 1.., total)) => {
            let left = total.saturating_sub(done) as f64 / done as f64;
            Duration::try_from_secs_f64(elapsed.as_secs_f64() * left).unwrap_or(Duration::MAX)
        }
        // Over its time it may take any.
        _ if elapsed >= expected => Duration::MAX,
        _ => expected - elapsed,
    }
}

fn limits(decided: &Decided) -> DeviceLimits {
    let (doing, duty) = match decided.decision {
        Decision::Run { duty } => ("run", Some(duty.fraction())),
        Decision::Pause => ("pause", None),
        Decision::CheckpointAndRelease => ("release", None),
        Decision::Refuse => ("refuse", None),
    };
    let reasons = decided.reasons.iter().map(ToString::to_string).collect();
    DeviceLimits { doing: doing.to_owned(), reasons, duty }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_remains_is_told_by_progress_or_expected() {
        let seconds = Duration::from_secs;
        for (expected, elapsed, progress, left) in [
            (100, 10, Some((1, 11)), seconds(100)),
            (100, 90, Some((9, 10)), seconds(10)),
            (5, 90, Some((9, 9)), seconds(0)),
            (5, 90, Some((9, 3)), seconds(0)),
            (100, 10, Some((0, 11)), seconds(90)),
            (100, 10, None, seconds(90)),
            (10, 10, None, Duration::MAX),
            (10, 99, Some((0, 0)), Duration::MAX),
        ] {
            assert_eq!(remaining(seconds(expected), seconds(elapsed), progress), left);
        }
    }
}
