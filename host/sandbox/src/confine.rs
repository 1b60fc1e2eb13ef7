//! What a worker or a compiling process lets the operating system do to it before it touches anything
//! foreign: the second wall, behind wasmtime. A guest that broke out of WebAssembly, or a driver that it broke
//! into, then holds a process that can compute and answer, and nothing else.
//!
//! The wall has layers ([`Layer`]), a file of this room for each. Every layer says whether it is enforced
//! ([`ConfinementReport`]); the parent says what it insists on ([`Requirement`]). A process confines itself
//! while it has one thread and has read nothing but its request, and can never take it back. Its parent does
//! what only a parent can: a cleared environment, a control group. Elsewhere than on Linux no layer is there.
//!
//! What must be enforced before strangers' work is taken, and what a machine needs for it, is written in
//! `host/sandbox/CONFINEMENT.md`.

mod environment;
#[cfg(target_os = "linux")]
mod files;
mod gpu;
mod grant;
mod group;
#[cfg(target_os = "linux")]
mod kernel;
#[cfg(target_os = "linux")]
mod limits;
#[cfg(target_os = "linux")]
mod network;
#[cfg(target_os = "linux")]
mod privileges;
mod report;
#[cfg(target_os = "linux")]
mod scope;
#[cfg(target_os = "linux")]
mod system_calls;

use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use gpu::GpuPaths;
pub(crate) use grant::{Grant, Limits, Role};
pub use group::GroupFolders;
pub(crate) use group::{Group, OwnedGroup};
pub use report::{ConfinementReport, LayerReport, LayerState};

pub(crate) use environment::cleared;
use report::Unavailable;

/// A part of the wall. Each stops what it is for without the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// No capability, and none to be had by running a program.
    Privileges,
    /// Only the attempt's own files, and those that a GPU's driver needs.
    Files,
    /// No sockets.
    Network,
    /// Only the system calls that computing needs; no process is started, traced or signalled.
    SystemCalls,
    /// No signal and no abstract socket leads out.
    Scope,
    /// Bounded memory, files and CPU time of this process.
    Limits,
    /// Bounded memory and threads, counted by a control group.
    Group,
    /// Nothing of the owner's environment but what drivers read.
    Environment,
}

impl Layer {
    /// All of them.
    pub const ALL: [Layer; 8] = [
        Layer::Privileges,
        Layer::Files,
        Layer::Network,
        Layer::SystemCalls,
        Layer::Scope,
        Layer::Limits,
        Layer::Group,
        Layer::Environment,
    ];

    const fn bit(self) -> Layers {
        1 << self as u8
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Layer::Privileges => "privileges",
            Layer::Files => "files",
            Layer::Network => "network",
            Layer::SystemCalls => "system-calls",
            Layer::Scope => "scope",
            Layer::Limits => "limits",
            Layer::Group => "group",
            Layer::Environment => "environment",
        }
    }
}

impl FromStr for Layer {
    type Err = String;

    fn from_str(text: &str) -> Result<Layer, String> {
        Layer::ALL.into_iter().find(|layer| layer.name() == text).ok_or_else(|| {
            format!("there is no layer `{text}`, but {}", Layer::ALL.map(Layer::name).join(", "))
        })
    }
}

/// The layers without which a stranger's component is not run. Not among them: [`Layer::Scope`], whose two
/// ways out [`Layer::SystemCalls`] and [`Layer::Network`] close as well, and [`Layer::Group`], which needs the
/// machine's administrator and repeats [`Layer::Limits`].
pub const STRANGERS_MINIMUM: [Layer; 6] =
    [Layer::Privileges, Layer::Files, Layer::Network, Layer::SystemCalls, Layer::Limits, Layer::Environment];

/// What the parent insists on: the layers without which a process refuses to work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Requirement(Layers);

/// A bit for each layer.
type Layers = u8;

impl Requirement {
    /// Every layer that this machine has; none is missed. For a developer's own work.
    pub const BEST_EFFORT: Requirement = Requirement(0);
    /// At least [`STRANGERS_MINIMUM`].
    pub const STRANGERS: Requirement = {
        let (mut requirement, mut index) = (Requirement::BEST_EFFORT, 0);
        while index < STRANGERS_MINIMUM.len() {
            requirement = requirement.with(STRANGERS_MINIMUM[index]);
            index += 1;
        }
        requirement
    };

    /// This layer, too.
    pub const fn with(self, layer: Layer) -> Requirement {
        Requirement(self.0 | layer.bit())
    }

    /// What of it a compiling process can be held to: one lives for seconds within limits of its own, and joins no
    /// control group.
    pub const fn for_compiler(self) -> Requirement {
        Requirement(self.0 & !Layer::Group.bit())
    }

    /// The layers that it insists on.
    pub fn layers(self) -> impl Iterator<Item = Layer> {
        Layer::ALL.into_iter().filter(move |layer| self.0 & layer.bit() != 0)
    }
}

/// What is asked of a process: which layers to enforce, and which of them it may not go without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// What the parent insists on.
    pub requirement: Requirement,
    /// A bit for each layer that is to be enforced.
    layers: Layers,
}

impl Confinement {
    /// Every layer, with this requirement.
    pub const fn new(requirement: Requirement) -> Confinement {
        Confinement { requirement, layers: Layers::MAX }
    }

    /// These layers alone: to show what one of them stops. No command asks for it.
    #[doc(hidden)]
    pub fn only_for_tests(layers: &[Layer], requirement: Requirement) -> Confinement {
        let layers = layers.iter().fold(0, |bits, layer| bits | layer.bit());
        Confinement { requirement, layers }
    }

    pub(crate) fn asks_for(self, layer: Layer) -> bool {
        self.layers & layer.bit() != 0
    }
}

impl Default for Confinement {
    fn default() -> Confinement {
        Confinement::new(Requirement::BEST_EFFORT)
    }
}

/// Confines this process, for good. It must have one thread.
pub(crate) fn confine(confinement: Confinement, grant: &Grant) -> ConfinementReport {
    let mut layers: Vec<LayerReport> = order(grant.role)
        .iter()
        .map(|&layer| {
            let enforced = if confinement.asks_for(layer) {
                enforce(layer, grant)
            } else {
                Err(Unavailable::new("the parent did not ask for it", "run without switching it off"))
            };
            LayerReport { layer, state: enforced.into() }
        })
        .collect();
    layers.sort_unstable_by_key(|report| report.layer);
    ConfinementReport { layers }
}

/// The order matters: what reads or writes files before [`Layer::Files`], what needs a capability before
/// [`Layer::Privileges`], and [`Layer::SystemCalls`] last, for it forbids most of what the others do.
fn order(role: Role) -> &'static [Layer] {
    const ORDER: [Layer; 8] = [
        Layer::Group,
        Layer::Environment,
        Layer::Network,
        Layer::Privileges,
        Layer::Files,
        Layer::Scope,
        Layer::Limits,
        Layer::SystemCalls,
    ];
    match role {
        Role::Worker => &ORDER,
        // A compiling process lives for seconds and its address space is limited: it needs no control group.
        Role::Compiler => &ORDER[1..],
    }
}

#[cfg(target_os = "linux")]
fn enforce(layer: Layer, grant: &Grant) -> report::Enforced {
    match layer {
        Layer::Privileges => privileges::enforce(),
        Layer::Files => files::enforce(grant),
        Layer::Network => network::enforce(),
        Layer::SystemCalls => system_calls::enforce(grant),
        Layer::Scope => scope::enforce(),
        Layer::Limits => limits::enforce(&grant.limits),
        Layer::Group => group::join(&grant.group),
        Layer::Environment => environment::enforce(),
    }
}

#[cfg(not(target_os = "linux"))]
fn enforce(_layer: Layer, _grant: &Grant) -> report::Enforced {
    Err(Unavailable::new("only Linux has it", "take strangers' work on a machine with Linux"))
}

/// Has this process killed when its parent ends.
///
/// # Errors
/// The operating system's.
#[cfg(target_os = "linux")]
pub(crate) fn end_with_parent() -> std::io::Result<()> {
    use rustix::process::{Signal, set_parent_process_death_signal};
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

/// Elsewhere the parent ends its children itself.
#[cfg(not(target_os = "linux"))]
pub(crate) fn end_with_parent() -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_minimum_is_met_or_says_what_is_missing() {
        let report = |missing: Option<Layer>| ConfinementReport {
            layers: Layer::ALL
                .iter()
                .map(|&layer| {
                    let unavailable = Unavailable::new("no such kernel", "update it");
                    let enforced = if missing == Some(layer) { Err(unavailable) } else { Ok(String::new()) };
                    LayerReport { layer, state: enforced.into() }
                })
                .collect(),
        };
        assert_eq!(report(None).unmet(Requirement::STRANGERS), None);
        for layer in Layer::ALL {
            let unmet = report(Some(layer)).unmet(Requirement::STRANGERS);
            assert_eq!(unmet.is_some(), STRANGERS_MINIMUM.contains(&layer), "{layer:?}");
            assert!(unmet.is_none_or(|words| words.contains(layer.name()) && words.contains("update it")));
            assert_eq!(report(Some(layer)).unmet(Requirement::BEST_EFFORT), None);
        }
        // A layer that nobody reported is missing, too.
        let unmet = ConfinementReport { layers: Vec::new() }.unmet(Requirement::STRANGERS);
        assert!(
            unmet.is_some_and(|words| STRANGERS_MINIMUM.iter().all(|layer| words.contains(layer.name())))
        );
    }

    #[test]
    fn layers_are_chosen_one_by_one() {
        for layer in Layer::ALL {
            let only = Confinement::only_for_tests(&[layer], Requirement::BEST_EFFORT);
            for other in Layer::ALL {
                assert_eq!(only.asks_for(other), layer == other);
                assert!(Confinement::default().asks_for(other));
            }
        }
    }
}
