//! What work is paid in: gas credits until there is money. Whole numbers, checked, never floats.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Gas that one [`Price`] is for.
pub const GAS_PER_PRICE: u64 = 1_000_000_000;

/// An amount; never negative.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Credits(pub u64);

/// Credits for 10^9 gas.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct Price(pub u64);

impl Credits {
    /// Nothing.
    pub const ZERO: Credits = Credits(0);

    /// The sum, where it can be held.
    pub const fn checked_add(self, other: Credits) -> Option<Credits> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Credits(sum)),
            None => None,
        }
    }

    /// What is left, where there is enough.
    pub const fn checked_sub(self, other: Credits) -> Option<Credits> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Credits(rest)),
            None => None,
        }
    }

    /// What is left, or nothing.
    pub const fn saturating_sub(self, other: Credits) -> Credits {
        Credits(self.0.saturating_sub(other.0))
    }

    /// This share in millionths, rounded down.
    pub const fn share(self, millionths: u32) -> Credits {
        Credits((self.0 as u128 * millionths as u128 / 1_000_000) as u64)
    }
}

impl Price {
    /// What so much gas costs, rounded up; `None` beyond what an amount can hold.
    pub fn cost(self, gas: u64) -> Option<Credits> {
        let cost = (u128::from(gas) * u128::from(self.0)).div_ceil(u128::from(GAS_PER_PRICE));
        u64::try_from(cost).ok().map(Credits)
    }
}

impl fmt::Display for Credits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} credits", self.0)
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} credits per Ggas", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_checked() {
        assert_eq!(Credits(1).checked_sub(Credits(2)), None);
        assert_eq!(Credits(u64::MAX).checked_add(Credits(1)), None);
        assert_eq!(Credits(u64::MAX).share(1_000_000), Credits(u64::MAX));
        assert_eq!(Credits(199).share(50_000), Credits(9));
    }

    #[test]
    fn a_price_is_for_a_billion() {
        assert_eq!(Price(1000).cost(2_000_000_000), Some(Credits(2000)));
        assert_eq!(Price(1).cost(1), Some(Credits(1)));
        assert_eq!(Price(0).cost(u64::MAX), Some(Credits(0)));
        assert_eq!(Price(u64::MAX).cost(u64::MAX), None);
    }
}
