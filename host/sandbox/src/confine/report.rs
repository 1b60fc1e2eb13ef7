//! What became of each layer, for the parent and for people. Nothing is enforced here.

use serde::{Deserialize, Serialize};

use super::{Layer, Requirement};

/// What holds a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfinementReport {
    /// Every layer that this kind of process has.
    pub layers: Vec<LayerReport>,
}

/// What became of one layer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerReport {
    /// The layer.
    pub layer: Layer,
    /// What became of it.
    #[serde(flatten)]
    pub state: LayerState,
}

/// Whether a layer holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum LayerState {
    /// It holds.
    Enforced {
        /// By what, in words.
        how: String,
    },
    /// It does not hold, or not wholly.
    Unavailable {
        /// Why.
        reason: String,
        /// What the machine's owner can do about it.
        advice: String,
    },
}

/// What a layer answers: by what it holds, or why it does not.
pub(super) type Enforced = Result<String, Unavailable>;

/// Why a layer does not hold.
#[derive(Debug)]
pub(super) struct Unavailable {
    reason: String,
    advice: String,
}

impl Unavailable {
    pub(super) fn new(reason: impl Into<String>, advice: impl Into<String>) -> Unavailable {
        Unavailable { reason: reason.into(), advice: advice.into() }
    }
}

impl ConfinementReport {
    /// Whether this layer holds.
    pub fn enforces(&self, layer: Layer) -> bool {
        self.layers
            .iter()
            .any(|report| report.layer == layer && matches!(report.state, LayerState::Enforced { .. }))
    }

    /// What this requirement misses, in words that end with what to do; `None` where it misses nothing.
    pub fn unmet(&self, requirement: Requirement) -> Option<String> {
        let missing: Vec<String> = requirement
            .layers()
            .filter(|&layer| !self.enforces(layer))
            .map(|layer| self.describe_missing(layer))
            .collect();
        (!missing.is_empty()).then(|| {
            format!(
                "this machine cannot confine a stranger's work: {}. `anneal doctor` shows every layer",
                missing.join("; ")
            )
        })
    }

    fn describe_missing(&self, layer: Layer) -> String {
        let state = self.layers.iter().find(|report| report.layer == layer).map(|report| &report.state);
        match state {
            Some(LayerState::Unavailable { reason, advice }) => {
                format!("the layer {} is missing ({reason}): {advice}", layer.name())
            }
            _ => format!("the layer {} is missing: the process did not report it", layer.name()),
        }
    }
}

impl From<Enforced> for LayerState {
    fn from(enforced: Enforced) -> LayerState {
        match enforced {
            Ok(how) => LayerState::Enforced { how },
            Err(Unavailable { reason, advice }) => LayerState::Unavailable { reason, advice },
        }
    }
}
