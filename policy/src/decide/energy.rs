//! Energy used against its budgets, and against what it earns.

use super::{Rules, Weight, look::Need};
use crate::{EnergyReason, EnergyUsed, KilowattHours, Note, SensorName};

impl Rules<'_> {
    pub(super) fn look_at_energy(&mut self) {
        self.count_energy();
        self.look_at_budgets();
        self.look_at_earnings();
    }

    /// What the machine used since the last decision, if it worked and had something to do: at the larger of the
    /// two powers, so that never less is counted than was used.
    fn count_energy(&mut self) {
        let has_budget = self.policy.power.has_budget();
        let (readings, before) = (self.readings, self.before);
        let mut power = |name, need| {
            let reading = readings.channel(name);
            if has_budget {
                self.look_at_number(name, &reading, need)
            } else {
                reading.value().copied().filter(|watts| name.believed().contains(watts))
            }
        };
        let gpu = power(SensorName::GpuWatts, Need::Required);
        let cpu = power(SensorName::CpuWatts, Need::Silent);
        let watts = gpu.map(|gpu| gpu + cpu.unwrap_or(0.0) + self.policy.power.overhead.0);
        let highest = match (watts, before.watts) {
            (Some(watts), Some(before)) => Some(watts.max(before)),
            (watts, before) => watts.or(before),
        };
        if let Some(highest) = highest.filter(|_| self.was_running() && !self.readings.is_idle) {
            let date = self.policy.schedule.date(self.now.wall);
            self.after.energy.add(date, highest * self.step.elapsed_s);
        }
        self.after.watts = watts.or(before.watts);
    }

    fn look_at_budgets(&mut self) {
        let power = &self.policy.power;
        let EnergyUsed { day, month } = self.after.energy.used(self.policy.schedule.date(self.now.wall));
        let elsewhere = self.readings.energy_elsewhere;
        let (day, month) = (sum(day, elsewhere.day), sum(month, elsewhere.month));
        if let Some(allowed) = power.per_day.filter(|allowed| day >= *allowed) {
            self.hold(Weight::GiveBack, EnergyReason::DaySpent { used: day, allowed });
        }
        if let Some(allowed) = power.per_month.filter(|allowed| month >= *allowed) {
            self.hold(Weight::GiveBack, EnergyReason::MonthSpent { used: month, allowed });
        }
    }

    fn look_at_earnings(&mut self) {
        let Some(rule) = &self.policy.earnings else { return };
        if rule.xmr_price.is_none() {
            self.notes.push(Note::NoXmrPrice);
            return;
        }
        let Some(earned) = self.readings.earnings_per_hour else {
            self.hold(Weight::Wait, EnergyReason::EarningsUnknown);
            return;
        };
        self.profit = rule.profit(&self.policy.schedule, earned, self.now.wall);
        if let Some(profit) = self.profit.clone().filter(|profit| !profit.is_enough(self.was_running())) {
            self.hold(Weight::GiveBack, EnergyReason::Unprofitable { profit });
        }
    }
}

fn sum(here: KilowattHours, elsewhere: KilowattHours) -> KilowattHours {
    // What another device's host says may be anything; less than nothing would lift the budget.
    KilowattHours(here.0 + elsewhere.0.max(0.0))
}
