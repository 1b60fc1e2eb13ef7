//! Which GPU is meant, and what a source says of it. Which source is asked is decided in `lib.rs`.

use anneal_job::ByteCount;
use anneal_policy::{Celsius, Percent, Watts};
use serde::{Deserialize, Serialize};

use crate::{
    gap::{Found, Gap},
    pci::{PciAddress, PciId},
};

/// A GPU as the driver that computes on it names it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GpuIdentity {
    /// Where it sits. Drivers mostly say.
    pub address: Option<PciAddress>,
    /// What it is: where it sits is found by this where no other device is of the same kind.
    pub id: Option<PciId>,
}

/// What a source says of a GPU.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct GpuReadings {
    pub(crate) core: Found<Celsius>,
    pub(crate) hot_spot: Found<Celsius>,
    pub(crate) memory: Found<Celsius>,
    pub(crate) fan: Found<Percent>,
    pub(crate) watts: Found<Watts>,
    pub(crate) memory_by_others: Found<ByteCount>,
    pub(crate) use_by_others: Found<Percent>,
}

impl GpuReadings {
    /// Nothing, and all for one reason.
    pub(crate) fn none(gap: &Gap) -> GpuReadings {
        GpuReadings {
            core: Err(gap.clone()),
            hot_spot: Err(gap.clone()),
            memory: Err(gap.clone()),
            fan: Err(gap.clone()),
            watts: Err(gap.clone()),
            memory_by_others: Err(gap.clone()),
            use_by_others: Err(gap.clone()),
        }
    }
}

impl GpuIdentity {
    /// Whether a device at this place and of this kind is meant; where the place is known, it decides.
    pub(crate) fn is(&self, address: Option<PciAddress>, id: Option<PciId>) -> bool {
        match self.address {
            Some(wanted) => address == Some(wanted),
            None => self.id.is_some() && id == self.id,
        }
    }

    /// The one that is meant.
    pub(crate) fn only<T>(&self, mut candidates: Vec<T>, whose: &str) -> Found<T> {
        match candidates.len() {
            1 => Ok(candidates.remove(0)),
            0 => Err(Gap::absent(format!("{whose} shows no GPU at {self}"))),
            count => Err(Gap::absent(format!(
                "{whose} shows {count} GPUs of the kind {self}, and the driver that computes does not say where its \
                 own sits, so it is not known whose sensors are its own; a newer driver says it"
            ))),
        }
    }
}

impl std::fmt::Display for GpuIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.address, self.id) {
            (Some(address), _) => write!(f, "{address}"),
            (None, Some(id)) => write!(f, "{id}"),
            (None, None) => f.write_str("a place that its driver does not name"),
        }
    }
}
