//! A simulated day in a few numbers.

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    Celsius, Decided, KilowattHours, Policy, Readings, Reason,
    quantity::{PICONERO_PER_XMR, duration},
};

/// A simulated day in a few numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// From the first row to the last, without sleep.
    pub seconds: f64,
    /// In which it ran.
    pub ran_s: f64,
    /// Full-duty seconds.
    pub busy_s: f64,
    /// How often it began to run.
    pub starts: usize,
    /// How often a task was given back.
    pub releases: usize,
    /// The highest temperature that could be believed.
    pub hottest: Option<Celsius>,
    /// Energy of its work.
    pub energy: KilowattHours,
    /// What it would have earned.
    pub earned_xmr: f64,
    /// What its energy would have cost; nothing without `[earnings]`.
    pub cost: f64,
    /// What an XMR is worth, as the owner says.
    pub xmr_price: Option<f64>,
    /// What the owner calls the money.
    pub currency: String,
    /// How long each kind of reason was the weightiest.
    pub standstills: BTreeMap<&'static str, Standstill>,
    /// XMR of an hour at full duty, as last read.
    #[serde(skip)]
    rate: f64,
}

/// How long a kind of reason kept it from running.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standstill {
    /// Altogether.
    pub seconds: f64,
    /// The first of its sentences, as an example.
    pub example: String,
}

impl Summary {
    pub(super) fn new(policy: &Policy) -> Summary {
        let rule = policy.earnings.as_ref();
        Summary {
            xmr_price: rule.and_then(|rule| rule.xmr_price),
            currency: rule.map(|rule| rule.currency.clone()).unwrap_or_default(),
            ..Summary::default()
        }
    }

    /// What it would have been worth, if the owner says what an XMR is.
    pub fn earned(&self) -> Option<f64> {
        self.xmr_price.map(|price| self.earned_xmr * price)
    }

    pub(super) fn decided(&mut self, last: Option<&Decided>, decided: &Decided, readings: &Readings) {
        let ran = last.is_some_and(|last| last.decision.runs());
        let gave_back = |decided: &Decided| {
            matches!(decided.decision, crate::Decision::CheckpointAndRelease | crate::Decision::Refuse)
        };
        self.starts += usize::from(!ran && decided.decision.runs());
        self.releases += usize::from(last.is_some_and(|last| !gave_back(last)) && gave_back(decided));
        if let Some(temperature) = super::believed_temperature(readings) {
            let is_hotter = self.hottest.is_none_or(|hottest| temperature > hottest);
            self.hottest = if is_hotter { Some(temperature) } else { self.hottest };
        }
        // Earnings go by what was read when it was decided.
        self.rate = readings.earnings_per_hour.map_or(0.0, |earned| earned.0 as f64 / PICONERO_PER_XMR);
    }

    pub(super) fn worked(&mut self, policy: &Policy, decided: &Decided, from: Timestamp, seconds: f64) {
        self.seconds += seconds;
        let duty = decided.decision.duty().fraction();
        if !decided.decision.runs() {
            let Some(reason) = decided.reasons.first() else { return };
            let standstill = self
                .standstills
                .entry(kind(reason))
                .or_insert_with(|| Standstill { seconds: 0.0, example: reason.to_string() });
            standstill.seconds += seconds;
            return;
        }
        self.ran_s += seconds;
        self.busy_s += seconds * duty;
        let hours = seconds / 3600.0;
        self.earned_xmr += self.rate * duty * hours;
        if let Some(watts) = decided.history.watts {
            self.energy.0 += watts / 1000.0 * hours;
        }
        if let Some(rule) = &policy.earnings {
            let price = rule.price_per_kwh(&policy.schedule, from);
            let watts = decided.history.watts.unwrap_or(rule.working_watts.0 * duty);
            self.cost += watts / 1000.0 * hours * price;
        }
    }
}

fn kind(reason: &Reason) -> &'static str {
    match reason {
        Reason::Channel(_) => "heat, noise or power",
        Reason::Sensor(_) => "sensors",
        Reason::Energy(_) => "energy and earnings",
        Reason::Time(crate::TimeReason::Closed { .. }) => "hours",
        Reason::Time(_) => "waiting in case",
        Reason::Owner(_) => "you",
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = if self.seconds > 0.0 { 100.0 * self.ran_s / self.seconds } else { 0.0 };
        let mean = if self.ran_s > 0.0 { 100.0 * self.busy_s / self.ran_s } else { 0.0 };
        writeln!(f, "ran {} of {} ({share:.0} %)", duration(self.ran_s), duration(self.seconds))?;
        writeln!(
            f,
            "duty while running {mean:.0} %, begun {} times, given back {} times",
            self.starts, self.releases
        )?;
        if let Some(hottest) = self.hottest {
            writeln!(f, "hottest {hottest}")?;
        }
        writeln!(f, "energy {}", self.energy)?;
        match self.earned() {
            Some(earned) => writeln!(
                f,
                "earned {:.6} XMR = {earned:.2} {currency}, energy cost {:.2} {currency}, left {:.2} {currency}",
                self.earned_xmr,
                self.cost,
                earned - self.cost,
                currency = self.currency
            )?,
            None => writeln!(f, "earned {:.6} XMR", self.earned_xmr)?,
        }
        for (kind, standstill) in &self.standstills {
            writeln!(f, "stood {} for {kind}: {}", duration(standstill.seconds), standstill.example)?;
        }
        Ok(())
    }
}
