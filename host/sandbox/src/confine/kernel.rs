//! The two means of the kernel that several layers use: Landlock rule sets and seccomp filters. Which rules
//! and which filters is the layers' business.

use landlock::{ABI, LandlockStatus, RestrictionStatus, RulesetError};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, SeccompRule};

use super::report::Unavailable;

/// Looks whether a rule set holds all of what a layer needs; the ABI that the kernel has.
pub(super) fn check(
    restricted: Result<RestrictionStatus, RulesetError>,
    needed: ABI,
    linux: &str,
) -> Result<ABI, Unavailable> {
    let status = restricted.map_err(|error| {
        Unavailable::new(format!("the kernel refused a Landlock rule set ({error})"), newer(linux))
    })?;
    match status.landlock {
        LandlockStatus::Available { effective_abi, .. } if effective_abi >= needed => Ok(effective_abi),
        LandlockStatus::Available { effective_abi, .. } => Err(Unavailable::new(
            format!("this kernel has Landlock ABI {effective_abi}, and {needed} is needed"),
            newer(linux),
        )),
        LandlockStatus::NotEnabled => Err(Unavailable::new(
            "Landlock is off",
            "add landlock to the kernel's parameter lsm= and start the machine again",
        )),
        LandlockStatus::NotImplemented => {
            Err(Unavailable::new("this kernel was built without Landlock", newer(linux)))
        }
    }
}

fn newer(linux: &str) -> String {
    format!("use Linux {linux} or newer, built with CONFIG_SECURITY_LANDLOCK")
}

/// Installs a seccomp filter: `matched` for the system calls that meet their rules, `otherwise` for all else.
pub(super) fn install(
    rules: Vec<(i64, Vec<SeccompRule>)>,
    otherwise: SeccompAction,
    matched: SeccompAction,
) -> Result<(), Unavailable> {
    let unavailable = |error: &dyn std::fmt::Display| {
        Unavailable::new(
            format!("the kernel takes no seccomp filter ({error})"),
            "use a kernel built with CONFIG_SECCOMP_FILTER, on x86-64 or ARM64",
        )
    };
    let architecture = std::env::consts::ARCH.try_into();
    let program = architecture
        .and_then(|architecture| {
            SeccompFilter::new(rules.into_iter().collect(), otherwise, matched, architecture)
        })
        .and_then(BpfProgram::try_from)
        .map_err(|error| unavailable(&error))?;
    seccompiler::apply_filter(&program).map_err(|error| unavailable(&error))
}
