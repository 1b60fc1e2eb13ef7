//! Whether the machine runs on its battery, by what the kernel says of its power supplies.
//!
//! As systemd sees it: a charger that gives power decides; without one, a battery of the machine's own means
//! that it runs on that. Batteries of mice and headsets are somebody else's. A machine without any battery has
//! none to run on.

use std::path::{Path, PathBuf};

use crate::{gap::Found, sysfs};

/// The power supplies of a machine.
#[derive(Debug)]
pub(crate) struct Supplies {
    folder: PathBuf,
}

impl Supplies {
    pub(crate) fn new(root: &Path) -> Supplies {
        Supplies { folder: root.join("sys/class/power_supply") }
    }

    /// Whether it runs on its battery.
    pub(crate) fn on_battery(&self) -> Found<bool> {
        let (mut has_battery, mut discharges, mut has_charger, mut is_charged) = (false, false, false, false);
        for supply in sysfs::entries(&self.folder, "")? {
            if sysfs::text(&supply.join("scope")).is_ok_and(|scope| scope == "Device") {
                continue;
            }
            match sysfs::text(&supply.join("type"))?.as_str() {
                "Battery" => {
                    // A bay without a battery in it.
                    let is_there = sysfs::number_if_there::<u8>(&supply.join("present"))? != Some(0);
                    has_battery |= is_there;
                    discharges |= is_there && sysfs::text(&supply.join("status"))? == "Discharging";
                }
                "Mains" | "USB" | "Wireless" => {
                    has_charger = true;
                    is_charged |= sysfs::number::<u8>(&supply.join("online"))? != 0;
                }
                _ => {}
            }
        }
        // Without a charger that could say it, only discharging shows that none is there.
        Ok(!is_charged && has_battery && (discharges || has_charger))
    }
}
