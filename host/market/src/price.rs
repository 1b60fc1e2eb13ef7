//! Prices per gas move with demand, each class of devices on its own.
//!
//! Every [`Parameters::price_every`](crate::Parameters): with D leases wanted that a device of the class could
//! take at today's price, and S devices of the class that wait at a floor not above it,
//! `price += price * step * (D - S) / (D + S)`, rounded away from the old price, between the lowest and the
//! highest. In balance (D = S) it stands still; no offer without demand can push it below the floors, since
//! devices above the price no longer count.

use anneal_job::{Price, Span};

use crate::{DeviceClass, EventKind, Key, MILLION, Market, Reply, job::JobStatus};

/// A device that has not asked for so long is not there.
const IDLE_FOR: Span = Span::minutes(2);
/// Jobs that are looked at for prices.
const JOBS_SCANNED_MAX: usize = 4096;
/// Deadlines that are dealt with at one tick; the next tick goes on.
const DUE_MAX: usize = 4096;

/// Demand of a job: leases, the cap, and what a device needs.
struct Wanted {
    slots: u64,
    cap: Price,
    memory_bytes: u64,
}

impl Market {
    pub(crate) fn tick(&mut self) -> Result<Reply, crate::Rejection> {
        for key in self.index.due(self.now(), DUE_MAX) {
            match key {
                Key::Attempt(_, id) => self.attempt_due(id),
                Key::Task(key) => self.task_due(key),
                Key::Provider(id) => {
                    self.release(id);
                    self.end_cases(id);
                }
                Key::Totals => self.move_prices(),
                _ => {}
            }
        }
        Ok(Reply::Done)
    }

    /// What a class is paid for 10^9 gas.
    pub fn price_of(&self, class: &DeviceClass) -> Price {
        self.classes.get(class).map_or(self.parameters.price_initial, |class| class.price)
    }

    fn move_prices(&mut self) {
        let now = self.now();
        self.totals_mut().prices_at = now + self.parameters.price_every;
        self.presence.idle.retain(|_, idle| now.since(idle.at) <= IDLE_FOR);
        let wanted = self.wanted_by_jobs();
        let names: Vec<DeviceClass> = self.classes.keys().cloned().collect();
        for name in names {
            let Some(class) = self.classes.get(&name) else { continue };
            let could = |job: &&Wanted| job.cap >= class.price && job.memory_bytes <= class.memory_bytes_max;
            let demand: u64 = wanted.iter().filter(could).map(|job| job.slots).sum();
            let idle = self.presence.idle.values();
            let supply = idle.filter(|idle| idle.class == name && idle.floor <= class.price).count() as u64;
            let price = self.parameters.next_price(class.price, demand, supply);
            if price != class.price {
                self.touch(Key::Class(name.clone()));
                self.classes.entry(name.clone()).and_modify(|class| class.price = price);
                self.emit(EventKind::PriceMoved { class: name, price, demand, supply });
            }
        }
    }

    fn wanted_by_jobs(&self) -> Vec<Wanted> {
        let start = anneal_job::JobId(anneal_job::Digest::from_bytes([0; 32]));
        let open = self.index.open_from(start).take(JOBS_SCANNED_MAX);
        open.filter_map(|(id, tasks)| {
            let (job, spec) = self.jobs.get(id).zip(self.specs.get(id))?;
            (job.status == JobStatus::Running).then(|| Wanted {
                slots: tasks.values().map(|slots| u64::from(*slots)).sum(),
                cap: spec.price_cap,
                memory_bytes: spec.requirements.memory_bytes,
            })
        })
        .collect()
    }
}

impl crate::Parameters {
    /// The price after one step, by demand and supply.
    pub fn next_price(&self, price: Price, demand: u64, supply: u64) -> Price {
        if demand == supply {
            return price;
        }
        let difference = u128::from(demand.abs_diff(supply));
        let both = u128::from(demand) + u128::from(supply);
        // An auditor reckons with whatever a log says: no number of it may break this.
        let step = (u128::from(price.0) * u128::from(self.price_step_millionths)).saturating_mul(difference);
        let step = u64::try_from(step.div_ceil(both * u128::from(MILLION))).unwrap_or(u64::MAX);
        let moved = if demand > supply { price.0.saturating_add(step) } else { price.0.saturating_sub(step) };
        Price(moved.clamp(self.price_min.0, self.price_max.0.max(self.price_min.0)))
    }
}
