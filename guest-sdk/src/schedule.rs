//! Learning rates that change with the step, computed so that every toolchain gives the same bits.

/// A learning rate as a function of the step, from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    peak: f64,
    warmup: u32,
    shape: Shape,
}

#[derive(Clone, Debug, PartialEq)]
enum Shape {
    Constant,
    Cosine { total: u32, floor: f64 },
    Steps { every: u32, factor: f64 },
}

impl Schedule {
    /// Always `rate`.
    pub fn constant(rate: f32) -> Schedule {
        Schedule { peak: rate.into(), warmup: 0, shape: Shape::Constant }
    }

    /// From `peak` down to 0 along half a cosine, reached at step `total` and kept.
    pub fn cosine(peak: f32, total: u32) -> Schedule {
        Schedule { shape: Shape::Cosine { total, floor: 0.0 }, ..Schedule::constant(peak) }
    }

    /// From `rate` on, multiplied by `factor` after each `every` steps (at least one).
    pub fn steps(rate: f32, every: u32, factor: f32) -> Schedule {
        Schedule {
            shape: Shape::Steps { every: every.max(1), factor: factor.into() },
            ..Schedule::constant(rate)
        }
    }

    /// A linear rise over the first `steps` steps: step 0 takes 1 / (`steps` + 1) of the peak. What follows
    /// begins after it; a cosine still ends at its total.
    pub fn warmup(mut self, steps: u32) -> Schedule {
        self.warmup = steps;
        self
    }

    /// Where a cosine ends, instead of 0.
    pub fn floor(mut self, rate: f32) -> Schedule {
        if let Shape::Cosine { floor, .. } = &mut self.shape {
            *floor = rate.into();
        }
        self
    }

    /// The rate of `step`, computed in f64 from + − × ÷ alone and rounded once.
    pub fn at(&self, step: u32) -> f32 {
        if step < self.warmup {
            let done = (f64::from(step) + 1.0) / (f64::from(self.warmup) + 1.0);
            return (self.peak * done) as f32;
        }
        let after = step - self.warmup;
        let rate = match self.shape {
            Shape::Constant => self.peak,
            Shape::Cosine { total, floor } => {
                let length = total.saturating_sub(self.warmup);
                let done = if after >= length { 1.0 } else { f64::from(after) / f64::from(length) };
                floor + (self.peak - floor) * 0.5 * (1.0 + cosine_of_half_turns(done))
            }
            Shape::Steps { every, factor } => self.peak * power(factor, after / every),
        };
        rate as f32
    }
}

/// cos(π t) for t in [0, 1], to about 1e-15: the Taylor polynomial up to x^20 on the half where it converges
/// fast, in Horner's order.
fn cosine_of_half_turns(t: f64) -> f64 {
    if t > 0.5 {
        return -cosine_of_half_turns(1.0 - t);
    }
    let x = t * std::f64::consts::PI;
    let square = x * x;
    let mut sum = 1.0;
    for pair in (1..=10).rev() {
        let divisor = f64::from((2 * pair - 1) * 2 * pair);
        sum = 1.0 - sum * square / divisor;
    }
    sum
}

/// `base` to a whole power, multiplied from the highest bit down.
fn power(base: f64, exponent: u32) -> f64 {
    (0..u32::BITS).rev().fold(1.0, |product, bit| {
        let square = product * product;
        if exponent >> bit & 1 == 1 { square * base } else { square }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cosine_is_that_of_std() {
        for i in 0..=1000 {
            let t = f64::from(i) / 1000.0;
            let (ours, theirs) = (cosine_of_half_turns(t), (t * std::f64::consts::PI).cos());
            assert!((ours - theirs).abs() < 4e-16 * 4.0, "{t}: {ours} {theirs}");
        }
    }

    #[test]
    fn schedules_pass_through_their_corners() {
        let constant = Schedule::constant(0.1);
        assert_eq!([constant.at(0), constant.at(u32::MAX)], [0.1, 0.1]);

        let cosine = Schedule::cosine(1.0, 110).warmup(10).floor(0.1);
        assert_eq!(cosine.at(0), (1.0 / 11.0) as f32);
        assert_eq!([cosine.at(10), cosine.at(60), cosine.at(110), cosine.at(9999)], [1.0, 0.55, 0.1, 0.1]);
        assert!((0..10).all(|step| cosine.at(step) < cosine.at(step + 1)));
        assert!((10..110).all(|step| cosine.at(step) > cosine.at(step + 1)));

        let steps = Schedule::steps(0.8, 30, 0.5);
        assert_eq!([steps.at(29), steps.at(30), steps.at(89), steps.at(90)], [0.8, 0.4, 0.2, 0.1]);
    }

    #[test]
    fn no_length_divides_by_zero() {
        assert_eq!(Schedule::cosine(1.0, 0).at(0), 0.0);
        assert_eq!(Schedule::cosine(1.0, 5).warmup(5).at(5), 0.0);
        assert_eq!(Schedule::steps(1.0, 0, 0.5).at(1), 0.5);
    }
}
