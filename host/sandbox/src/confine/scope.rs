//! The layer of scope: signals and abstract unix sockets do not lead out of this process. The layers of system
//! calls and of the network close both ways, too; here the kernel does it whatever the way.

use landlock::{ABI, Access, Ruleset, RulesetAttr, Scope};

use super::{kernel, report::Enforced};

pub(super) fn enforce() -> Enforced {
    let restricted = Ruleset::default()
        .scope(Scope::from_all(ABI::V6))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self);
    kernel::check(restricted, ABI::V6, "6.12")
        .map(|abi| format!("signals and abstract sockets stay inside (Landlock ABI {abi})"))
}
