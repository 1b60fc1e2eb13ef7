//! A decision in words: what would happen now, why, what would have to change, and which rules do nothing.

use std::fmt::Write;

use crate::{
    Decided, Decision, History, Limiter, Moment, Policy, Readings, Sensor, controller::ChannelRule, decide,
    quantity::KilowattHours,
};

/// What `anneal policy explain` prints: what would happen now, and why.
pub fn explain(policy: &Policy, readings: &Readings, history: &History, now: Moment) -> String {
    explain_decided(policy, readings, &decide(policy, readings, history, now), now)
}

/// The same for a decision that was made, for the status page.
pub fn explain_decided(policy: &Policy, readings: &Readings, decided: &Decided, now: Moment) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}", headline(decided));
    if let (Decision::Run { .. }, Some(limiter)) = (decided.decision, decided.limited_by) {
        let _ = writeln!(text, "  {}", limited(policy, readings, limiter));
    }
    for reason in &decided.reasons {
        let _ = writeln!(text, "  - {reason}\n    to change it: {}", reason.remedy());
    }
    if let Some(until) = decided.until {
        let _ = writeln!(text, "Your hours end {}.", policy.schedule.local(until));
    }
    if let Some(profit) = &decided.profit {
        let _ = writeln!(text, "An hour at full duty {profit}.");
    }
    if let Some(line) = budget(policy, readings, decided, now) {
        let _ = writeln!(text, "{line}");
    }
    for note in &decided.notes {
        let _ = writeln!(text, "Note: {note}.");
    }
    text
}

fn headline(decided: &Decided) -> String {
    match decided.decision {
        Decision::Run { duty } => format!("Runs at a duty of {duty}."),
        Decision::Pause => "Pauses and keeps its task, because".to_owned(),
        Decision::CheckpointAndRelease => {
            "Keeps what is finished and gives its task back, because".to_owned()
        }
        Decision::Refuse => "Takes no work, because".to_owned(),
    }
}

fn limited(policy: &Policy, readings: &Readings, limiter: Limiter) -> String {
    match limiter {
        Limiter::Nothing => "Nothing limits it.".to_owned(),
        Limiter::Share => "More is not shared: `shares.duty` sets it.".to_owned(),
        Limiter::WarmingUp => "It has begun a moment ago, and its duty rises slowly.".to_owned(),
        Limiter::Target(name) => {
            let value = readings.channel(name).value().map_or_else(String::new, |value| name.show(*value));
            let target =
                ChannelRule::of(policy, name).map_or_else(String::new, |rule| name.show(rule.target));
            format!("More would take {name} from {value} past its target of {target} (`{}`).", name.key())
        }
    }
}

fn budget(policy: &Policy, readings: &Readings, decided: &Decided, now: Moment) -> Option<String> {
    let used = decided.history.energy_on(policy.schedule.date(now.wall));
    let elsewhere = readings.energy_elsewhere;
    let part = |used: KilowattHours, elsewhere: KilowattHours, allowed: Option<KilowattHours>, when: &str| {
        allowed.map(|allowed| format!("{when} used {} of {allowed}", KilowattHours(used.0 + elsewhere.0)))
    };
    let parts: Vec<String> = [
        part(used.day, elsewhere.day, policy.power.per_day, "today"),
        part(used.month, elsewhere.month, policy.power.per_month, "this month"),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| format!("Energy: {}.", parts.join(", ")))
}

/// What `anneal policy check` prints: the rules that are set, and what of the machine they need.
pub fn outline(policy: &Policy, readings: &Readings) -> String {
    let mut text = String::new();
    for name in crate::CHANNELS {
        let Some(rule) = ChannelRule::of(policy, name) else { continue };
        let found = match readings.channel(name) {
            Sensor::Value(value) if name.believed().contains(&value) => format!("now {}", name.show(value)),
            Sensor::Value(value) => format!("now {}, which cannot be", name.show(value)),
            Sensor::Lost => "cannot be read now".to_owned(),
            Sensor::Absent if rule.is_required => "not on this machine: work would be refused".to_owned(),
            Sensor::Absent => "not on this machine".to_owned(),
        };
        let (target, limit, resume) = (name.show(rule.target), name.show(rule.limit), name.show(rule.resume));
        let _ = writeln!(text, "{name}: held at {target}, stopped at {limit}, back at {resume}; {found}");
    }
    outline_rules(policy, &mut text);
    text
}

fn outline_rules(policy: &Policy, text: &mut String) {
    for (when, allowed) in [("day", policy.power.per_day), ("month", policy.power.per_month)] {
        if let Some(allowed) = allowed {
            let _ = writeln!(text, "energy of a {when}: {allowed}");
        }
    }
    let windows = &policy.schedule.windows;
    let zone = policy.schedule.zone.iana_name().unwrap_or("UTC");
    let hours = match windows.as_slice() {
        [] => "always".to_owned(),
        windows => windows.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    };
    let _ = writeln!(text, "hours by the clock of {zone}: {hours}");
    let owner = &policy.owner;
    if let Some(idle_s) = owner.idle_s {
        let _ = writeln!(text, "waits for {} without input", crate::quantity::duration(idle_s));
    }
    if !owner.programs.is_empty() {
        let programs: Vec<&str> = owner.programs.iter().map(String::as_str).collect();
        let _ = writeln!(text, "gone while one of these runs: {}", programs.join(", "));
    }
    if owner.yields_to_fullscreen {
        let _ = writeln!(text, "gone while a program covers the screen");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Celsius, KilowattHours, Piconero, Watts};

    fn now() -> Moment {
        Moment { wall: "2026-11-23T12:00:00Z".parse().expect("a time"), steady_ms: 0 }
    }

    fn readings() -> Readings {
        Readings {
            gpu: Sensor::Value(Celsius(71.5)),
            gpu_watts: Sensor::Value(Watts(180.0)),
            on_battery: Sensor::Value(false),
            earnings_per_hour: Some(Piconero(900_000_000)),
            energy_elsewhere: crate::EnergyUsed { day: KilowattHours(0.5), month: KilowattHours(3.0) },
            ..Readings::default()
        }
    }

    #[test]
    fn a_run_says_what_limits_it() {
        let policy = Policy::parse(
            "[power]\nkwh-per-day = 4\n[time]\nzone = \"Europe/Berlin\"\nwindows = [\"until 22:00\"]\n\
             [earnings]\nxmr-price = 150\nprice-per-kwh = 0.3\nworking-watts = 300",
        )
        .expect("a policy");
        assert_eq!(
            explain(&policy, &readings(), &History::default(), now()),
            "Runs at a duty of 5 %.\n  \
             More would take the GPU's temperature from 71.5 °C past its target of 72 °C (`temperature.gpu`).\n\
             Your hours end Mon 2026-11-23 22:00.\n\
             An hour at full duty earns 0.000900 XMR/h × 150 EUR/XMR = 0.1350 EUR/h; \
             costs 0.3 kW × 0.3 EUR/kWh = 0.0900 EUR/h, times 1.1 to begin = 0.0990 EUR/h.\n\
             Energy: today used 0.50 kWh of 4.00 kWh.\n\
             Note: this machine cannot tell whether the network is metered, so `owner.run-on-metered-network` \
             does nothing here.\n\
             Note: this machine cannot tell the GPU's hot spot, so `temperature.hot-spot` does nothing here.\n\
             Note: this machine cannot tell the GPU memory's temperature, so `temperature.gpu-memory` does \
             nothing here.\n\
             Note: this machine cannot tell the processor's temperature, so `temperature.cpu` does nothing \
             here.\n"
        );
    }

    #[test]
    fn a_stop_says_why_and_what_to_do() {
        let policy = Policy::parse("[owner]\nfullscreen = true\nidle-minutes = 5").expect("a policy");
        let readings = Readings {
            fullscreen: Sensor::Value(true),
            idle_s: Sensor::Value(10.0),
            cpu: Sensor::Value(Celsius(40.0)),
            ..readings()
        };
        let text = explain(&policy, &readings, &History::default(), now());
        let expected = "Keeps what is finished and gives its task back, because\n  \
                        - a program covers the screen\n    \
                        to change it: close it, or `owner.fullscreen = false`\n  \
                        - you used the machine 10 s ago, and work waits for 5 min without input\n    \
                        to change it: 5 min more without input; `owner.idle-minutes` sets it\n";
        assert!(text.starts_with(expected), "{text}");
    }

    #[test]
    fn a_check_outlines_the_rules() {
        let policy = Policy::parse(include_str!("../presets/gamer.toml")).expect("a policy");
        let text = outline(&policy, &readings());
        assert!(
            text.contains(
                "the GPU's temperature: held at 70 °C, stopped at 80 °C, back at 65 °C; now 71.5 °C"
            ),
            "{text}"
        );
        assert!(
            text.contains(
                "the processor's temperature: held at 78 °C, stopped at 90 °C, back at 73 °C; not on"
            )
        );
        assert!(text.contains("hours by the clock of UTC: always"), "{text}");
        assert!(
            text.contains("waits for 10 min without input\ngone while one of these runs: blender, davinci"),
            "{text}"
        );
    }
}
