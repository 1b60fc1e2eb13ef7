//! Sensors as the rules see them: believed, or an obstacle. A rule never guesses what a sensor would say.

use super::{Rules, Weight};
use crate::{Note, Sensor, SensorName, SensorReason};

/// What a rule does without its sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// The machine is refused.
    Required,
    /// The rule is off, and the owner is told.
    WhereReadable,
    /// The rule does without.
    Silent,
}

impl Rules<'_> {
    /// The value of a sensor, if there is one; else what that means is on record.
    pub(super) fn look<T: Clone>(&mut self, name: SensorName, sensor: &Sensor<T>, need: Need) -> Option<T> {
        match sensor {
            Sensor::Value(value) => {
                self.after.seen.insert(name);
                return Some(value.clone());
            }
            Sensor::Lost => {
                self.hold(Weight::Wait, SensorReason::Lost { sensor: name });
            }
            Sensor::Absent if self.before.seen.contains(&name) => {
                self.hold(Weight::Wait, SensorReason::Lost { sensor: name });
            }
            Sensor::Absent => match need {
                Need::Required => self.hold(Weight::Refuse, SensorReason::Missing { sensor: name }),
                Need::WhereReadable => self.notes.push(Note::RuleOff { sensor: name }),
                Need::Silent => {}
            },
        }
        None
    }

    /// The same for a number, which must also be one that can be.
    pub(super) fn look_at_number(
        &mut self,
        name: SensorName,
        sensor: &Sensor<f64>,
        need: Need,
    ) -> Option<f64> {
        let value = self.look(name, sensor, need)?;
        if name.believed().contains(&value) {
            return Some(value);
        }
        self.hold(Weight::Wait, SensorReason::Implausible { sensor: name, value });
        None
    }
}
