//! Holds one measured quantity at its target by the duty: a proportional-integral controller with a stop at
//! the limit. One for each temperature, the fan and the power; the smallest duty of all of them is used.
//!
//! `duty = kp · (target − smoothed) + integral`. Both terms fall as the quantity rises, so a hotter reading
//! never raises the duty. Gains are chosen for a device that full duty warms by 20 to 90 °C with a time
//! constant of 3 to 600 s and a sensor up to 2 s late: with `G` the warming at full duty and `τ` its time
//! constant, the closed loop has damping `(1 + G·kp) / (2·√(τ·G·ki))`. More gain swings on small coolers with
//! late sensors, less overshoots on large ones; the tests run devices over that whole range. The integral
//! starts at nothing and does not grow while something else holds the duty down, so a target is neared from
//! below.

use serde::{Deserialize, Serialize};

use crate::{Policy, SensorName, policy::DUTY_MIN, policy::HeatLimit};

/// Readings are smoothed over this time before the controller sees them; limits see them raw.
const SMOOTHING_S: f64 = 6.0;
/// So long may a target be missed at the least duty before work stops instead.
const OUT_OF_REACH_S: f64 = 120.0;
/// What a stop at the limit leaves of the integral, so that the next try is gentler.
const KEPT_AFTER_STOP: f64 = 0.5;
/// While work is stopped, the integral fades with this time constant.
const FADING_S: f64 = 120.0;
/// The power's target and the power at which work may go on after a stop, in parts of its limit.
const WATTS_TARGET: f64 = 0.88;
const WATTS_RESUME: f64 = 0.80;
/// The same for the fan, in points below its limit.
const FAN_TARGET_POINTS: f64 = 6.0;
const FAN_RESUME_POINTS: f64 = 10.0;

/// What one quantity is held to, in its own unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct ChannelRule {
    pub(crate) target: f64,
    pub(crate) limit: f64,
    /// After a stop: work waits until the quantity is no higher.
    pub(crate) resume: f64,
    pub(crate) is_required: bool,
    gain: Gain,
}

/// Duty per unit, and duty per unit and second.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Gain {
    proportional: f64,
    integral: f64,
}

/// What a controller remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChannelState {
    /// The smoothed reading; none before the first and after a gap.
    smoothed: Option<f64>,
    integral: f64,
    /// Whether work stopped because of it and waits for it to fall.
    is_stopped: bool,
    /// How long the target was missed at the least duty.
    missed_s: f64,
}

/// What a controller asks for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum ChannelOutput {
    /// At most this duty.
    AtMost(f64),
    /// The reading is at its limit or over.
    OverLimit,
    /// It was, and has not fallen far enough.
    Cooling,
    /// The least duty is too much.
    OutOfReach,
}

impl ChannelRule {
    /// What the policy holds this sensor to, if anything.
    pub(crate) fn of(policy: &Policy, name: SensorName) -> Option<ChannelRule> {
        let temperature = &policy.temperature;
        match name {
            SensorName::GpuCore => Some(ChannelRule::heat(&temperature.gpu)),
            SensorName::HotSpot => Some(ChannelRule::heat(&temperature.hot_spot)),
            SensorName::GpuMemory => Some(ChannelRule::heat(&temperature.gpu_memory)),
            SensorName::Cpu => Some(ChannelRule::heat(&temperature.cpu)),
            SensorName::Fan => policy.fan.map(|limit| ChannelRule {
                target: limit.0 - FAN_TARGET_POINTS,
                limit: limit.0,
                resume: limit.0 - FAN_RESUME_POINTS,
                is_required: true,
                gain: Gain { proportional: 0.02, integral: 1.5e-4 },
            }),
            SensorName::GpuWatts => policy.power.watts.map(|limit| ChannelRule {
                target: limit.0 * WATTS_TARGET,
                limit: limit.0,
                resume: limit.0 * WATTS_RESUME,
                is_required: true,
                // Power follows the duty at once, and full duty is a few times the limit at most.
                gain: Gain { proportional: 0.2 / limit.0, integral: 0.03 / limit.0 },
            }),
            _ => None,
        }
    }

    fn heat(limit: &HeatLimit) -> ChannelRule {
        ChannelRule {
            target: limit.target.0,
            limit: limit.limit.0,
            resume: limit.target.0 - limit.hysteresis.0,
            is_required: limit.is_required,
            gain: Gain { proportional: 0.04, integral: 2e-4 },
        }
    }
}

impl ChannelState {
    /// Takes a believed reading and says what it allows.
    pub(crate) fn advance(&mut self, rule: &ChannelRule, value: f64, elapsed_s: f64) -> ChannelOutput {
        let weight = elapsed_s / (SMOOTHING_S + elapsed_s);
        let before = self.smoothed.unwrap_or(value);
        let smoothed = before + weight * (value - before);
        self.smoothed = Some(smoothed);
        if value >= rule.limit {
            self.stop();
            return ChannelOutput::OverLimit;
        }
        if self.missed_s >= OUT_OF_REACH_S && value > rule.resume {
            self.is_stopped = true;
            return ChannelOutput::OutOfReach;
        }
        if self.is_stopped && value > rule.resume {
            return ChannelOutput::Cooling;
        }
        self.is_stopped = false;
        let duty = rule.gain.proportional * (rule.target - smoothed) + self.integral;
        ChannelOutput::AtMost(duty.clamp(0.0, 1.0))
    }

    /// Learns the duty that was decided from its `output`.
    pub(crate) fn settle(&mut self, rule: &ChannelRule, output: f64, duty: f64, elapsed_s: f64) {
        let error = rule.target - self.smoothed.unwrap_or(rule.target);
        let is_held_by_another = duty + 1e-9 < output;
        if error < 0.0 || !is_held_by_another {
            let integral = self.integral + rule.gain.integral * error * elapsed_s;
            self.integral = if integral.is_nan() { 0.0 } else { integral.clamp(0.0, 1.0) };
        }
        self.missed_s = if output < DUTY_MIN { self.missed_s + elapsed_s } else { 0.0 };
    }

    /// While work is stopped for whatever reason, nothing is missed, and the device cools: what was learnt
    /// of it while it was warm fades, so that it is warmed from below again.
    pub(crate) fn rest(&mut self, elapsed_s: f64) {
        self.missed_s = 0.0;
        self.integral *= (-elapsed_s / FADING_S).exp();
    }

    /// After a gap the past says nothing about the present temperature.
    pub(crate) fn forget(&mut self) {
        *self = ChannelState { is_stopped: self.is_stopped, ..ChannelState::default() };
    }

    fn stop(&mut self) {
        if !self.is_stopped {
            self.integral *= KEPT_AFTER_STOP;
        }
        self.is_stopped = true;
    }
}
