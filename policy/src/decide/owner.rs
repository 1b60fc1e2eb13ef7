//! The owner comes first: at the very reading that shows them, work stops.

use super::{Rules, Weight, look::Need};
use crate::{OwnerReason, Sensor, SensorName, history::StepKind, policy::Supply};

impl Rules<'_> {
    pub(super) fn look_at_owner(&mut self) {
        if !self.policy.is_device_on(&self.readings.device) {
            let device = self.readings.device.clone();
            self.hold(Weight::Refuse, OwnerReason::DeviceOff { device });
        }
        self.look_at_input();
        self.look_at_programs();
        self.look_at_others();
        self.look_at_supplies();
    }

    fn look_at_input(&mut self) {
        let Some(wanted_s) = self.policy.owner.idle_s else { return };
        let readings = self.readings;
        let Some(read_s) = self.look_at_number(SensorName::Idle, &readings.idle_s, Need::Required) else {
            return;
        };
        // Nobody can have been away for longer than the last time plus what went by; a sensor that says so
        // looks at another screen.
        let is_continued = !matches!(self.step.kind, StepKind::First | StepKind::Gap(_));
        let idle_s = match self.before.idle_s {
            Some(before_s) if is_continued => read_s.min(before_s + self.step.elapsed_s),
            _ => read_s,
        };
        self.after.idle_s = Some(idle_s);
        if idle_s < wanted_s {
            self.hold(Weight::Wait, OwnerReason::Input { idle_s, wanted_s });
        }
    }

    fn look_at_programs(&mut self) {
        let (owner, readings) = (&self.policy.owner, self.readings);
        if owner.yields_to_fullscreen
            && self.look(SensorName::Fullscreen, &readings.fullscreen, Need::Required) == Some(true)
        {
            self.hold(Weight::GiveBack, OwnerReason::Fullscreen);
        }
        if owner.programs.is_empty() {
            return;
        }
        let running = self.look(SensorName::Programs, &readings.programs, Need::Required).unwrap_or_default();
        for name in running {
            if owner.programs.contains(&program_key(&name)) {
                self.hold(Weight::GiveBack, OwnerReason::Program { name });
            }
        }
    }

    fn look_at_others(&mut self) {
        let (owner, readings) = (&self.policy.owner, self.readings);
        if let Some(limit) = owner.memory_by_others {
            let used = self.look(SensorName::MemoryByOthers, &readings.memory_by_others, Need::Required);
            if let Some(used) = used.filter(|used| *used >= limit) {
                self.hold(Weight::GiveBack, OwnerReason::MemoryByOthers { used, limit });
            }
        }
        if let Some(limit) = owner.use_by_others {
            let reading = readings.use_by_others.map(|used| used.0);
            let used = self.look_at_number(SensorName::UseByOthers, &reading, Need::Required);
            if let Some(used) = used.filter(|used| *used >= limit.0) {
                self.hold(Weight::Wait, OwnerReason::UseByOthers { used: crate::Percent(used), limit });
            }
        }
    }

    fn look_at_supplies(&mut self) {
        let (owner, readings) = (&self.policy.owner, self.readings);
        if self.is_scarce(owner.on_battery, SensorName::Battery, &readings.on_battery) {
            self.hold(Weight::Wait, OwnerReason::OnBattery);
        }
        // Giving a task back sends its state over the very network that should be spared.
        if self.is_scarce(owner.on_metered, SensorName::Metered, &readings.metered) {
            self.hold(Weight::Keep, OwnerReason::Metered);
        }
    }

    fn is_scarce(&mut self, supply: Supply, name: SensorName, sensor: &Sensor<bool>) -> bool {
        let need = match supply {
            Supply::Run => return false,
            Supply::YieldWhereTold => Need::WhereReadable,
            Supply::Yield => Need::Required,
        };
        self.look(name, sensor, need) == Some(true)
    }
}

/// How a program is compared: `Blender.exe` and `blender` are the same.
pub(crate) fn program_key(name: &str) -> String {
    let name = name.to_lowercase();
    name.strip_suffix(".exe").map_or_else(|| name.clone(), str::to_owned)
}
