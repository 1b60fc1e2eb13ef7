//! A device that warms as it works: to go through a day that nobody recorded, and to try the controllers on.

/// A die on a cooler: the die follows the cooler with a small time constant of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThermalPlant {
    /// How much full duty warms the cooler, in °C.
    pub cooler_gain: f64,
    /// The cooler's time constant, in seconds.
    pub cooler_s: f64,
    /// How much full duty warms the die above its cooler, in °C.
    pub die_gain: f64,
    /// The die's time constant, in seconds.
    pub die_s: f64,
    /// Of the cooler above its surroundings, in °C.
    cooler: f64,
    /// Of the die above its cooler, in °C.
    die: f64,
}

impl ThermalPlant {
    /// A device as warm as its surroundings.
    pub fn new(cooler_gain: f64, cooler_s: f64, die_gain: f64, die_s: f64) -> ThermalPlant {
        ThermalPlant { cooler_gain, cooler_s, die_gain, die_s, cooler: 0.0, die: 0.0 }
    }

    /// A graphics card in a case: 48 °C above its surroundings at full duty, most of it within five minutes.
    pub fn card() -> ThermalPlant {
        ThermalPlant::new(36.0, 100.0, 12.0, 3.0)
    }

    /// Works at a duty for some time. Exact for a duty that does not change in it.
    pub fn advance(&mut self, duty: f64, seconds: f64) {
        let approach = |from: f64, to: f64, constant_s: f64| to + (from - to) * (-seconds / constant_s).exp();
        self.cooler = approach(self.cooler, self.cooler_gain * duty, self.cooler_s);
        self.die = approach(self.die, self.die_gain * duty, self.die_s);
    }

    /// The die's temperature in °C, in surroundings of this temperature.
    pub fn temperature(&self, ambient: f64) -> f64 {
        ambient + self.cooler + self.die
    }
}
