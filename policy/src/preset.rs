//! Policies to begin with, as files: what `anneal policy preset NAME` writes for the owner to change.

use crate::schedule::zone;

/// The line of a preset that [`Preset::text`] replaces.
const ZONE_LINE: &str = "zone = \"UTC\"";

/// A policy to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// How it is asked for.
    pub name: &'static str,
    text: &'static str,
}

/// Every preset.
pub const PRESETS: [Preset; 5] = [
    Preset { name: "quiet-night", text: include_str!("../presets/quiet-night.toml") },
    Preset { name: "solar", text: include_str!("../presets/solar.toml") },
    Preset { name: "gamer", text: include_str!("../presets/gamer.toml") },
    Preset { name: "dedicated", text: include_str!("../presets/dedicated.toml") },
    Preset { name: "laptop", text: include_str!("../presets/laptop.toml") },
];

impl Preset {
    /// The preset of this name.
    pub fn named(name: &str) -> Option<Preset> {
        PRESETS.into_iter().find(|preset| preset.name == name)
    }

    /// The file, by the clock of this time zone; by UTC if there is none of that name.
    pub fn text(&self, zone_name: &str) -> String {
        let name = if zone(zone_name).is_some() { zone_name } else { "UTC" };
        self.text.replace(ZONE_LINE, &format!("zone = \"{name}\""))
    }

    /// The first line: what it is for.
    pub fn summary(&self) -> &'static str {
        self.text.lines().next().unwrap_or_default().trim_start_matches("# ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Policy, policy::Supply};

    #[test]
    fn every_preset_reads_in_every_zone() {
        for preset in PRESETS {
            for zone_name in ["UTC", "Asia/Kathmandu", "no/such\"zone"] {
                let text = preset.text(zone_name);
                let policy = Policy::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", preset.name));
                assert_ne!(policy, Policy::default(), "{} says something", preset.name);
                let is_timed = text.contains("[time]");
                assert_eq!(is_timed && zone_name.contains("Kath"), text.contains("Kathmandu"));
            }
            assert!(preset.summary().len() > 20, "{} says what it is for", preset.name);
            assert_eq!(Preset::named(preset.name), Some(preset));
        }
        assert_eq!(Preset::named("quietnight"), None);
    }

    #[test]
    fn presets_hold_what_their_names_promise() {
        let policy =
            |name: &str| Policy::parse(&Preset::named(name).expect(name).text("Europe/Berlin")).expect(name);
        assert!(policy("quiet-night").fan.is_some() && policy("quiet-night").schedule.is_limited());
        assert!(policy("solar").power.per_day.is_some() && policy("solar").schedule.is_limited());
        assert!(policy("gamer").owner.yields_to_fullscreen && policy("gamer").owner.idle_s.is_some());
        assert!(!policy("dedicated").schedule.is_limited() && policy("dedicated").owner.idle_s.is_none());
        assert_eq!(policy("laptop").owner.on_battery, Supply::Yield);
        assert!(policy("laptop").temperature.cpu.is_required);
    }
}
