//! The layer of privileges: no capability is left, and none comes back by running a set-user-id program. It
//! matters most where anneal is run as root, as in many a container.

use rustix::{
    io,
    thread::{
        CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, no_new_privs,
        remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
    },
};

use super::report::{Enforced, Unavailable};

const NONE: CapabilitySets = CapabilitySets {
    effective: CapabilitySet::empty(),
    permitted: CapabilitySet::empty(),
    inheritable: CapabilitySet::empty(),
};

pub(super) fn enforce() -> Enforced {
    let held = drop_all().map_err(|error| {
        let advice = "run anneal on Linux 4.3 or newer, outside of other sandboxes that forbid prctl";
        Unavailable::new(format!("the kernel refused to drop privileges ({error})"), advice)
    })?;
    Ok(format!("no new privileges; {} capabilities dropped, none is left", held.iter().count()))
}

/// The capabilities that this process had.
fn drop_all() -> io::Result<CapabilitySet> {
    set_no_new_privs(true)?;
    clear_ambient_capability_set()?;
    let held = capabilities(None)?.permitted;
    for capability in CapabilitySet::all().iter() {
        // Needs CAP_SETPCAP, or is unknown to this kernel: without new privileges it is a formality.
        let _a_formality = remove_capability_from_bounding_set(capability);
    }
    set_capabilities(None, NONE)?;
    if capabilities(None)? == NONE && no_new_privs()? { Ok(held) } else { Err(io::Errno::PERM) }
}
