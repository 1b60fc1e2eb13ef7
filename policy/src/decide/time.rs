//! Hours, and clocks that cannot be right.

use jiff::Timestamp;

use super::{Rules, Weight};
use crate::{TimeReason, history::StepKind, schedule::Opening};

/// 2025-01-01: no clock that shows an earlier time is right, for this program was written later.
const EARLIEST_S: i64 = 1_735_689_600;

impl Rules<'_> {
    pub(super) fn look_at_time(&mut self) {
        match self.step.kind {
            StepKind::First | StepKind::Period => {}
            StepKind::Gap(seconds) => self.hold(Weight::Wait, TimeReason::Gap { seconds }),
            StepKind::ClockSet(seconds) => self.hold(Weight::Wait, TimeReason::ClockSet { seconds }),
        }
        let wall = self.now.wall;
        let is_early = Timestamp::from_second(EARLIEST_S).is_ok_and(|earliest| wall < earliest);
        if is_early && self.policy.needs_clock() {
            self.hold(Weight::Wait, TimeReason::ClockWrong { wall });
        }
        match self.policy.schedule.at(wall) {
            Opening::Open { closes } => self.until = closes,
            Opening::Closed { opens } => {
                let opens_local = opens.map(|opens| self.policy.schedule.local(opens));
                self.hold(Weight::GiveBack, TimeReason::Closed { opens, opens_local });
            }
        }
    }
}
