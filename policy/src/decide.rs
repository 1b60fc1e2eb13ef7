//! The decision: what a device does until the next reading, why, and what would have to change.
//!
//! Rules put obstacles in the way ([`Hold`]); without any, the device runs at the smallest duty that a
//! controller, the owner's share and the warming up allow. After obstacles, work waits until none was there
//! for a while ([`crate::policy::OwnerRules::resume_after_s`]), so whatever flickers, work does not.

mod channels;
mod energy;
mod look;
mod owner;
mod time;

use jiff::Timestamp;
pub(crate) use owner::program_key;
use serde::Serialize;

use crate::{
    Duty, History, Moment, Note, Policy, Profit, Readings, Reason, SensorName, TimeReason,
    controller::ChannelRule,
    history::{Standing, Step, StepKind},
    policy::DUTY_MIN,
};

/// The first duty after a stop.
const DUTY_FIRST: f64 = 0.10;
/// How fast a duty rises, per second; it falls at once.
const DUTY_RISE_PER_S: f64 = 0.02;

/// What a device does until the next reading. Ends of work are at once: no more is dispatched.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Decision {
    /// Work, being busy for this fraction of the time.
    Run {
        /// The fraction.
        duty: Duty,
    },
    /// Dispatch nothing, and keep the task.
    Pause,
    /// Dispatch nothing, keep what is finished of the task, and give it back.
    CheckpointAndRelease,
    /// Give back what is there and take nothing: the owner or the machine has to change first.
    Refuse,
}

/// A decision with everything that led to it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decided {
    /// What to do.
    pub decision: Decision,
    /// Why not to run, the weightiest first; empty only for [`Decision::Run`].
    pub reasons: Vec<Reason>,
    /// Rules that can do nothing here.
    pub notes: Vec<Note>,
    /// What keeps the duty where it is, for [`Decision::Run`].
    pub limited_by: Option<Limiter>,
    /// When the owner's hours end: no segment should begin that does not end before.
    pub until: Option<Timestamp>,
    /// What an hour earns and costs, where both are known.
    pub profit: Option<Profit>,
    /// To give to the next decision.
    pub history: History,
}

/// What keeps a duty where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limiter {
    /// Nothing: full duty.
    Nothing,
    /// The owner's share.
    Share,
    /// It has just begun and rises slowly.
    WarmingUp,
    /// A controller that holds this at its target.
    Target(SensorName),
}

/// An obstacle.
#[derive(Clone, Debug, PartialEq)]
struct Hold {
    weight: Weight,
    reason: Reason,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Weight {
    /// Goes by soon, or giving back would cost more than keeping.
    Keep,
    /// Goes by soon; if it does not, the task is given back.
    Wait,
    /// Lasts, or needs the memory that the task holds.
    GiveBack,
    /// Goes by only if the owner or the machine changes.
    Refuse,
}

/// A decision that is being made.
struct Rules<'a> {
    policy: &'a Policy,
    readings: &'a Readings,
    before: &'a History,
    now: Moment,
    step: Step,
    after: History,
    holds: Vec<Hold>,
    notes: Vec<Note>,
    /// What each controller allows.
    allowed: Vec<(SensorName, ChannelRule, f64)>,
    until: Option<Timestamp>,
    profit: Option<Profit>,
}

/// Decides what a device does until the next reading. Pure: equal arguments, equal decision.
///
/// To be asked about once a second. A host that has no decision for longer than two seconds has to stop by
/// itself; this function cannot notice that it is not asked.
pub fn decide(policy: &Policy, readings: &Readings, history: &History, now: Moment) -> Decided {
    let mut rules = Rules {
        policy,
        readings,
        before: history,
        now,
        step: history.step(now),
        after: History { last: Some(now), ..history.clone() },
        holds: Vec::new(),
        notes: Vec::new(),
        allowed: Vec::new(),
        until: None,
        profit: None,
    };
    rules.look_at_time();
    rules.look_at_owner();
    rules.look_at_channels();
    rules.look_at_energy();
    rules.conclude()
}

impl Decision {
    /// The busy fraction; nothing where it does not run.
    pub fn duty(self) -> Duty {
        match self {
            Decision::Run { duty } => duty,
            Decision::Pause | Decision::CheckpointAndRelease | Decision::Refuse => Duty::ZERO,
        }
    }

    /// Whether it runs.
    pub fn runs(self) -> bool {
        matches!(self, Decision::Run { .. })
    }
}

impl Rules<'_> {
    fn hold(&mut self, weight: Weight, reason: impl Into<Reason>) {
        let hold = Hold { weight, reason: reason.into() };
        if !self.holds.contains(&hold) {
            self.holds.push(hold);
        }
    }

    fn was_running(&self) -> bool {
        self.before.duty > Duty::ZERO
    }

    fn conclude(mut self) -> Decided {
        let (decision, limited_by) = match self.stand() {
            Some(decision) => {
                self.after.duty = Duty::ZERO;
                let elapsed_s = self.step.elapsed_s;
                self.after.channels.values_mut().for_each(|state| state.rest(elapsed_s));
                (decision, None)
            }
            None => {
                let (duty, limiter) = self.run();
                (Decision::Run { duty }, Some(limiter))
            }
        };
        self.holds.sort_by_key(|hold| std::cmp::Reverse(hold.weight));
        Decided {
            decision,
            reasons: self.holds.into_iter().map(|hold| hold.reason).collect(),
            notes: self.notes,
            limited_by,
            until: self.until,
            profit: self.profit,
            history: self.after,
        }
    }

    /// How work stands, if it does.
    fn stand(&mut self) -> Option<Decision> {
        let now_ms = self.now.steady_ms;
        let before = self.before.standing;
        let Some(weight) = self.holds.iter().map(|hold| hold.weight).max() else {
            return self.settle(before?);
        };
        // A steady clock that began again counts from now.
        let since_ms = before.map_or(now_ms, |standing| standing.since_ms).min(now_ms);
        let stood_s = (now_ms - since_ms) as f64 / 1000.0;
        let waited_enough = weight == Weight::Wait && stood_s >= self.policy.owner.pause_at_most_s;
        let was_released = before.is_some_and(|standing| standing.is_released);
        let is_released = was_released || waited_enough || weight >= Weight::GiveBack;
        self.after.standing = Some(Standing { since_ms, clear_since_ms: None, is_released });
        Some(match weight {
            Weight::Refuse => Decision::Refuse,
            _ if is_released => Decision::CheckpointAndRelease,
            _ => Decision::Pause,
        })
    }

    /// Nothing is in the way any more: whether it is so for long enough.
    fn settle(&mut self, standing: Standing) -> Option<Decision> {
        let now_ms = self.now.steady_ms;
        let clear_since_ms = standing.clear_since_ms.unwrap_or(now_ms).min(now_ms);
        let remaining_s = self.policy.owner.resume_after_s - (now_ms - clear_since_ms) as f64 / 1000.0;
        if remaining_s <= 0.0 {
            self.after.standing = None;
            return None;
        }
        let since_ms = standing.since_ms.min(now_ms);
        self.after.standing = Some(Standing { since_ms, clear_since_ms: Some(clear_since_ms), ..standing });
        self.hold(Weight::Wait, TimeReason::Settling { remaining_s });
        Some(if standing.is_released { Decision::CheckpointAndRelease } else { Decision::Pause })
    }

    /// The duty, and what keeps it there.
    fn run(&mut self) -> (Duty, Limiter) {
        let mut duty = self.policy.shares.duty.fraction();
        let mut limiter = if duty < 1.0 { Limiter::Share } else { Limiter::Nothing };
        let before = self.before.duty.fraction();
        let risen = if before > 0.0 { before + DUTY_RISE_PER_S * self.step.elapsed_s } else { DUTY_FIRST };
        if risen < duty {
            (duty, limiter) = (risen, Limiter::WarmingUp);
        }
        for (name, _, allowed) in &self.allowed {
            if *allowed < duty {
                (duty, limiter) = (*allowed, Limiter::Target(*name));
            }
        }
        let duty = duty.max(DUTY_MIN);
        for (name, rule, allowed) in &self.allowed {
            let state = self.after.channels.entry(*name).or_default();
            state.settle(rule, *allowed, duty, self.step.elapsed_s);
        }
        self.after.duty = Duty::new(duty);
        (self.after.duty.in_hundredths(), limiter)
    }

    /// Whether the past says nothing about the present.
    fn is_after_gap(&self) -> bool {
        matches!(self.step.kind, StepKind::Gap(_))
    }
}

#[cfg(test)]
mod tests;
