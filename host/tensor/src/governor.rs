//! Holding work back: what an executor asks between two pieces of work, and the arithmetic of how long it waits.
//!
//! A duty is a busy fraction. [`DutyMeter`] is told when work goes on and when it stands, and says how long it
//! has to stand; it has no clock, the time is handed in. A [`Gate`] has one, and blocks. Nothing here decides a
//! duty (a provider's policy does), and nothing of it reaches a bit of a result: only when work is done changes.

use std::{fmt::Debug, time::Duration};

use crate::ExecutorError;

/// What an executor passes between two pieces of work, so that somebody can hold it there.
pub trait Gate: Debug + Send + Sync {
    /// Whether work is held back now and then, or may be at once: work that was queued on a device is to be
    /// done before the gate is passed, or it would go on behind it.
    fn limits(&self) -> bool;

    /// Returns when the next piece of work may begin. The time between two passes counts as busy.
    ///
    /// # Errors
    /// [`ExecutorError::Stopped`]: there is to be no next piece.
    fn pass(&self) -> Result<(), ExecutorError>;
}

/// The longest that a piece of work between two passes may be planned to take.
pub const PIECE_MAX: Duration = Duration::from_millis(50);

/// A busy fraction that is more than nothing, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duty(u16);

/// How fast work goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pace {
    /// Busy for this fraction of the time.
    Run {
        /// The fraction.
        duty: Duty,
    },
    /// Not at all; the task is kept.
    Pause,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Work.
    Go,
    /// Stand, for so long if nothing changes; `None` is until the pace changes.
    Stand(Option<Duration>),
}

/// Where the time went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeSpent {
    /// At work.
    pub busy: Duration,
    /// Held.
    pub held: Duration,
    /// How many times it was held.
    pub holds: u64,
}

/// Holds a duty: counts how much more was worked than the duty allows, and makes up for it by standing.
///
/// What was worked too much is counted in thousandths of nanoseconds: work for t adds `t · (1000 - duty)`,
/// standing for t takes away `t · duty`. Both are equal exactly when the fraction is the duty, also where the
/// duty changes on the way.
#[derive(Clone, Debug)]
pub struct DutyMeter {
    /// When it was asked last, and what the pace was since then.
    last: Option<(Duration, Pace)>,
    is_standing: bool,
    surplus: i64,
    spent: TimeSpent,
}

/// The surplus at which work is held: smaller ones would cost more in waking than they hold.
const SURPLUS_HELD: i64 = 1000 * 5_000_000;
/// What standing too long may be made up for by: whoever sleeps is woken late, on a machine with much else to do by
/// a quarter of a second. Of ten seconds it is a fortieth.
const CREDIT_MAX: i64 = 1000 * 250_000_000;
/// No single piece of work counts for more: that is the time over which a duty is held.
const COUNTED_MAX: Duration = Duration::from_secs(10);

impl Duty {
    /// All the time.
    pub const FULL: Duty = Duty(1000);

    /// A fraction in thousandths, of 1 to 1000.
    pub fn of_per_mille(per_mille: u16) -> Option<Duty> {
        (1..=1000).contains(&per_mille).then_some(Duty(per_mille))
    }

    /// The fraction rounded down, but no less than a thousandth; what is no number is the least.
    pub fn of_fraction(fraction: f64) -> Duty {
        Duty(((fraction * 1000.0 + 1e-6) as u16).clamp(1, 1000))
    }

    /// In thousandths.
    pub fn per_mille(self) -> u16 {
        self.0
    }

    /// As a fraction.
    pub fn fraction(self) -> f64 {
        f64::from(self.0) / 1000.0
    }

    fn thousandths(self) -> i64 {
        i64::from(self.0)
    }
}

impl Pace {
    /// All the time.
    pub const FULL: Pace = Pace::Run { duty: Duty::FULL };

    /// The busy fraction in thousandths; 0 is a pause.
    pub fn per_mille(self) -> u16 {
        match self {
            Pace::Run { duty } => duty.per_mille(),
            Pace::Pause => 0,
        }
    }

    /// The opposite of [`Pace::per_mille`].
    pub fn of_per_mille(per_mille: u16) -> Option<Pace> {
        match per_mille {
            0 => Some(Pace::Pause),
            _ => Duty::of_per_mille(per_mille).map(|duty| Pace::Run { duty }),
        }
    }
}

impl DutyMeter {
    /// A meter that has seen nothing yet.
    pub fn new() -> DutyMeter {
        DutyMeter { last: None, is_standing: false, surplus: 0, spent: TimeSpent::default() }
    }

    /// Says what to do at this time, counted from any moment, where the pace is this.
    pub fn ask(&mut self, now: Duration, pace: Pace) -> Advice {
        self.count(now);
        self.last = Some((self.last.map_or(now, |(last, _)| last.max(now)), pace));
        let stands = match pace {
            Pace::Pause => true,
            Pace::Run { duty: Duty::FULL } => {
                self.surplus = 0;
                false
            }
            // Once it stands it makes up for all of it.
            Pace::Run { .. } => self.surplus >= if self.is_standing { 1 } else { SURPLUS_HELD },
        };
        self.spent.holds += u64::from(stands && !self.is_standing);
        self.is_standing = stands;
        match pace {
            Pace::Run { .. } if !stands => Advice::Go,
            Pace::Run { duty } => {
                let nanoseconds = self.surplus.unsigned_abs().div_ceil(u64::from(duty.per_mille()));
                Advice::Stand(Some(Duration::from_nanos(nanoseconds)))
            }
            Pace::Pause => Advice::Stand(None),
        }
    }

    /// Where the time went until now.
    pub fn spent(&mut self, now: Duration) -> TimeSpent {
        self.count(now);
        self.spent
    }

    /// Counts the time since it was asked last, at the pace of then.
    fn count(&mut self, now: Duration) {
        let Some((last, pace)) = &mut self.last else { return };
        let elapsed = now.saturating_sub(*last);
        *last = (*last).max(now);
        let counted = elapsed.min(COUNTED_MAX).as_nanos() as i64;
        match (self.is_standing, *pace) {
            (true, Pace::Run { duty }) => self.surplus -= counted * duty.thousandths(),
            // A pause makes up for everything, and earns nothing.
            (true, Pace::Pause) => self.surplus = self.surplus.min((self.surplus - counted * 1000).max(0)),
            (false, Pace::Run { duty }) => self.surplus += counted * (1000 - duty.thousandths()),
            (false, Pace::Pause) => self.surplus += counted * 1000,
        }
        let most = 1000 * COUNTED_MAX.as_nanos() as i64;
        self.surplus = self.surplus.clamp(-CREDIT_MAX, most);
        *if self.is_standing { &mut self.spent.held } else { &mut self.spent.busy } += elapsed;
    }
}

impl Default for DutyMeter {
    fn default() -> Self {
        DutyMeter::new()
    }
}

#[cfg(test)]
mod tests;
