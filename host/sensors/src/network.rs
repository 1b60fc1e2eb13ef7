//! Whether the network is paid by volume, as NetworkManager knows or takes it to be.

use crate::{
    bus::{Bus, Property},
    gap::{Found, Gap},
};

const METERED: Property = Property {
    service: "org.freedesktop.NetworkManager",
    path: "/org/freedesktop/NetworkManager",
    interface: "org.freedesktop.NetworkManager",
    name: "Metered",
};

/// Whether it is. NetworkManager itself tells a phone's network from others where its owner has not said.
pub(crate) fn metered(bus: &mut Bus) -> Found<bool> {
    // NMMetered: unknown, yes, no, guessed yes, guessed no.
    match bus.number(METERED)? {
        0 => Err(Gap::absent("NetworkManager does not know whether this network is metered")),
        1 | 3 => Ok(true),
        2 | 4 => Ok(false),
        other => Err(Gap::lost(format!("NetworkManager gives {other} for Metered, which means nothing"))),
    }
}
