//! What this program's tasks are defined by, and the refusal of any other: a task of other versions has another
//! result here, so it is not run. Each number has one home: the contract's is here, those of the numerics and the
//! gas table are in `anneal_tensor`.

use anneal_job::{FaultCode, HostFault, Versions};
use anneal_tensor::{gas::GAS_VERSION, numerics::NUMERICS_VERSION};

/// The guest contract in `wit/`, as major, minor, patch.
pub const CONTRACT_VERSION: [u32; 3] = [0, 1, 0];

/// The versions that this program runs, and no others.
pub const VERSIONS: Versions =
    Versions { contract: CONTRACT_VERSION, numerics: NUMERICS_VERSION, gas: GAS_VERSION };

/// Whether a task of these versions is one that this program may run.
///
/// # Errors
/// A fault with the code [`FaultCode::Versions`] where they are others: no result, and nobody's failure.
pub fn check_versions(versions: Versions) -> Result<(), HostFault> {
    if versions == VERSIONS {
        return Ok(());
    }
    let message = format!(
        "the task is defined by {versions}, and this anneal runs {VERSIONS}: the same bits come only from an anneal \
         of the task's versions; run it with that one"
    );
    Err(HostFault { code: FaultCode::Versions, message })
}

/// Whether a component that imports this version of the contract is for this host: the same minor version.
pub(crate) fn is_contract(version: &str) -> bool {
    let [major, minor, _] = CONTRACT_VERSION;
    version.starts_with(&format!("{major}.{minor}."))
}
