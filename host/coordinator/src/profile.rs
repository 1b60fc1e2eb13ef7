//! What the market does not know of a provider: names for people, and the prices its devices want.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
};

use anneal_api::ErrorBody;
use anneal_job::{Identity, Price};
use serde::{Deserialize, Serialize};

use crate::{app::App, views};

/// What a provider said of itself, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Profile {
    /// Its name.
    pub(crate) name: String,
    /// Its devices by number.
    pub(crate) devices: BTreeMap<u32, DeviceProfile>,
}

/// A device's name and price.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct DeviceProfile {
    /// As its driver calls it.
    pub(crate) name: String,
    /// It works for no less.
    pub(crate) price_floor: Price,
}

/// Profiles that were needed lately.
#[derive(Default)]
pub(crate) struct Profiles {
    known: Mutex<HashMap<Identity, Profile>>,
}

/// Profiles in memory.
const KNOWN_MAX: usize = 100_000;

/// The row of a provider's profile.
pub(crate) fn row_key(identity: Identity) -> String {
    format!("profile/{identity}")
}

impl Profiles {
    /// A provider's profile, from the store where it is not known.
    pub(crate) async fn get(&self, app: &App, identity: Identity) -> Result<Profile, ErrorBody> {
        if let Some(profile) = self.lock().get(&identity) {
            return Ok(profile.clone());
        }
        // A row that cannot be read is an error: a provider without its devices' price floors would work for nothing.
        let row = app.read(move |store| views::read(store, &row_key(identity))).await?;
        let profile: Profile = row.unwrap_or_default();
        self.set(identity, profile);
        Ok(self.lock().get(&identity).cloned().unwrap_or_default())
    }

    /// A provider's profile has changed.
    pub(crate) fn set(&self, identity: Identity, profile: Profile) {
        let mut known = self.lock();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(identity, profile);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Identity, Profile>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
