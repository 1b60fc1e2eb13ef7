//! How long the owner is away, by logind.
//!
//! logind knows of every session, at the screen, on a console and over SSH, and says since when all of them are
//! idle. Desktops tell it after a time of their own, five minutes mostly, consoles after five; until then it says
//! that somebody is there, and not since when. So what is said here is never more than the truth: no time at all
//! while logind does not call the machine idle, then what went by since it did. A desktop that never tells keeps
//! the machine in use. Times of files below /dev and counts of interrupts are no input, and are not looked at.

use rustix::time::{ClockId, clock_gettime};

use crate::{
    bus::{Bus, Property},
    gap::Found,
};

const IS_IDLE: Property = login("IdleHint");
/// By the clock that stands still in a suspend and is never set.
const IDLE_SINCE_US: Property = login("IdleSinceHintMonotonic");

const fn login(name: &'static str) -> Property {
    Property {
        service: "org.freedesktop.login1",
        path: "/org/freedesktop/login1",
        interface: "org.freedesktop.login1.Manager",
        name,
    }
}

/// Seconds since the last input, or fewer.
pub(crate) fn idle_s(bus: &mut Bus) -> Found<f64> {
    if !bus.flag(IS_IDLE)? {
        return Ok(0.0);
    }
    let since_s = bus.number(IDLE_SINCE_US)? as f64 / 1e6;
    let now = clock_gettime(ClockId::Monotonic);
    Ok((now.tv_sec as f64 + now.tv_nsec as f64 / 1e9 - since_s).max(0.0))
}
