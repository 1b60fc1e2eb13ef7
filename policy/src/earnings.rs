//! Whether an hour of work earns more than its energy costs, with the arithmetic to show.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    Piconero, Watts,
    policy::EarningsRule,
    quantity::{PICONERO_PER_XMR, tenths},
    schedule::Schedule,
};

/// The arithmetic of one hour at full duty. At a lower duty both sides shrink alike.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Profit {
    /// What the owner calls the money.
    pub currency: String,
    /// What the hour earns.
    pub earned: Piconero,
    /// What one XMR is worth.
    pub xmr_price: f64,
    /// What the machine draws.
    pub watts: Watts,
    /// What a kilowatt-hour costs at this hour.
    pub price_per_kwh: f64,
    /// How many times its cost the hour must earn to begin.
    pub margin: f64,
}

impl EarningsRule {
    /// The arithmetic now, if the owner gave a price of XMR.
    pub fn profit(&self, schedule: &Schedule, earned: Piconero, now: Timestamp) -> Option<Profit> {
        Some(Profit {
            currency: self.currency.clone(),
            earned,
            xmr_price: self.xmr_price?,
            watts: self.working_watts,
            price_per_kwh: self.price_per_kwh(schedule, now),
            margin: self.margin,
        })
    }

    /// What a kilowatt-hour costs now.
    pub fn price_per_kwh(&self, schedule: &Schedule, now: Timestamp) -> f64 {
        self.tariffs
            .iter()
            .find(|tariff| schedule.is_within(&[tariff.window], now))
            .map_or(self.price_per_kwh, |tariff| tariff.price_per_kwh)
    }
}

impl Profit {
    /// What the hour earns, in the owner's currency.
    pub fn earnings(&self) -> f64 {
        self.earned.0 as f64 / PICONERO_PER_XMR * self.xmr_price
    }

    /// What its energy costs.
    pub fn cost(&self) -> f64 {
        self.watts.0 / 1000.0 * self.price_per_kwh
    }

    /// What it must earn to begin.
    pub fn threshold(&self) -> f64 {
        self.cost() * self.margin
    }

    /// Whether work may begin, or if it runs already, go on: the margin keeps it from doing so by turns.
    pub fn is_enough(&self, is_running: bool) -> bool {
        let needed = if is_running { self.cost() } else { self.threshold() };
        self.earnings() > needed
    }
}

impl fmt::Display for Profit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let currency = &self.currency;
        write!(
            f,
            "earns {:.6} XMR/h × {} {currency}/XMR = {:.4} {currency}/h; \
             costs {} kW × {} {currency}/kWh = {:.4} {currency}/h",
            self.earned.xmr(),
            self.xmr_price,
            self.earnings(),
            self.watts.0 / 1000.0,
            self.price_per_kwh,
            self.cost()
        )?;
        if self.margin > 1.0 {
            write!(
                f,
                ", times {} to begin = {:.4} {currency}/h",
                tenths_or_more(self.margin),
                self.threshold()
            )?;
        }
        Ok(())
    }
}

fn tenths_or_more(number: f64) -> String {
    if (number * 10.0).fract().abs() < 1e-9 { tenths(number) } else { format!("{number}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> EarningsRule {
        EarningsRule {
            currency: "EUR".to_owned(),
            xmr_price: Some(150.0),
            price_per_kwh: 0.32,
            tariffs: vec![crate::policy::Tariff {
                window: "22:00-06:00".parse().expect("a window"),
                price_per_kwh: 0.2,
            }],
            working_watts: Watts(300.0),
            margin: 1.1,
        }
    }

    fn at(hour: u8) -> Timestamp {
        format!("2026-11-23T{hour:02}:00:00Z").parse().expect("a time")
    }

    #[test]
    fn the_arithmetic_is_shown() {
        let profit = rule().profit(&Schedule::default(), Piconero(600_000_000), at(12)).expect("a price");
        assert_eq!(
            profit.to_string(),
            "earns 0.000600 XMR/h × 150 EUR/XMR = 0.0900 EUR/h; \
             costs 0.3 kW × 0.32 EUR/kWh = 0.0960 EUR/h, times 1.1 to begin = 0.1056 EUR/h"
        );
        assert!(!profit.is_enough(true));
    }

    #[test]
    fn the_tariff_of_the_hour_decides_and_the_margin_keeps() {
        let schedule = Schedule::default();
        let enough = |earned, hour, is_running| {
            let profit = rule().profit(&schedule, Piconero(earned), at(hour)).expect("a price");
            profit.is_enough(is_running)
        };
        // Costs 0.096 by day and 0.06 by night; 600 million piconero are 0.09, 660 million 0.099.
        for (earned, hour, is_running, expected) in [
            (600_000_000, 12, true, false),
            (600_000_000, 23, false, true),
            (600_000_000, 5, false, true),
            (600_000_000, 6, false, false),
            (660_000_000, 12, false, false),
            (660_000_000, 12, true, true),
            (640_000_000, 12, true, false),
        ] {
            assert_eq!(
                enough(earned, hour, is_running),
                expected,
                "{earned} at {hour}, running {is_running}"
            );
        }
    }

    #[test]
    fn without_a_price_of_xmr_there_is_nothing_to_compare() {
        let rule = EarningsRule { xmr_price: None, ..rule() };
        assert_eq!(rule.profit(&Schedule::default(), Piconero(1), at(12)), None);
    }
}
