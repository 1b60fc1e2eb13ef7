//! Temperatures, fan and power: what each controller allows, and where it stops work.

use super::{Rules, Weight, look::Need};
use crate::{
    CHANNELS, ChannelReason,
    controller::{ChannelOutput, ChannelRule},
};

impl Rules<'_> {
    pub(super) fn look_at_channels(&mut self) {
        if self.is_after_gap() {
            self.after.channels.values_mut().for_each(|state| state.forget());
        }
        for sensor in CHANNELS {
            let Some(rule) = ChannelRule::of(self.policy, sensor) else { continue };
            let need = if rule.is_required { Need::Required } else { Need::WhereReadable };
            let reading = self.readings.channel(sensor);
            let Some(value) = self.look_at_number(sensor, &reading, need) else { continue };
            let state = self.after.channels.entry(sensor).or_default();
            match state.advance(&rule, value, self.step.elapsed_s) {
                ChannelOutput::AtMost(duty) => self.allowed.push((sensor, rule, duty)),
                ChannelOutput::OverLimit => self.hold(
                    Weight::Wait,
                    ChannelReason::OverLimit { sensor, value, limit: rule.limit, resume: rule.resume },
                ),
                ChannelOutput::Cooling => {
                    self.hold(Weight::Wait, ChannelReason::Cooling { sensor, value, resume: rule.resume });
                }
                ChannelOutput::OutOfReach => self.hold(
                    Weight::Wait,
                    ChannelReason::OutOfReach { sensor, value, target: rule.target, resume: rule.resume },
                ),
            }
        }
    }
}
