//! Identities that the network's operator does not serve: kept in rows of the service's own, said in the log with the
//! reason, and refused before anything of a request is looked at.

use std::{
    collections::BTreeMap,
    sync::{PoisonError, RwLock},
};

use anneal_api::{ErrorBody, ErrorCode};
use anneal_job::Identity;

use crate::store::{Scan, Store, StoreError};

/// How the rows' keys begin.
const PREFIX: &str = "banned/";
/// Rows of one reading.
const PAGE: u64 = 1_000;

/// Who is not served, and why.
#[derive(Default)]
pub(crate) struct Bans {
    reasons: RwLock<BTreeMap<Identity, String>>,
}

impl Bans {
    /// Refuses who is banned.
    pub(crate) fn check(&self, identity: Option<Identity>) -> Result<(), ErrorBody> {
        let reasons = self.reasons.read().unwrap_or_else(PoisonError::into_inner);
        match identity.and_then(|identity| reasons.get(&identity)) {
            Some(reason) => Err(ErrorCode::Banned.because(reason.clone())),
            None => Ok(()),
        }
    }

    /// From now on it is so.
    pub(crate) fn set(&self, identity: Identity, reason: Option<String>) {
        let mut reasons = self.reasons.write().unwrap_or_else(PoisonError::into_inner);
        match reason {
            Some(reason) => reasons.insert(identity, reason),
            None => reasons.remove(&identity),
        };
    }

    /// Exactly these, as they were kept.
    pub(crate) fn replace(&self, banned: BTreeMap<Identity, String>) {
        *self.reasons.write().unwrap_or_else(PoisonError::into_inner) = banned;
    }
}

/// The row of an identity.
pub(crate) fn key(identity: Identity) -> String {
    format!("{PREFIX}{identity}")
}

/// What its row holds: rows are never deleted, so an empty reason means that it is served.
pub(crate) fn value(reason: Option<&str>) -> Vec<u8> {
    reason.unwrap_or_default().as_bytes().to_vec()
}

/// Everybody who is banned.
pub(crate) fn read(store: &mut dyn Store) -> Result<BTreeMap<Identity, String>, StoreError> {
    let (mut banned, mut scan) = (BTreeMap::new(), Scan::prefix(PREFIX, PAGE));
    loop {
        let rows = store.rows(&scan)?;
        let Some((last, _)) = rows.last() else { return Ok(banned) };
        scan.from = Some(last.clone());
        for (key, value) in rows {
            let identity = key.strip_prefix(PREFIX).and_then(|text| text.parse::<Identity>().ok());
            let reason = String::from_utf8_lossy(&value).into_owned();
            banned.extend(identity.filter(|_| !reason.is_empty()).map(|identity| (identity, reason)));
        }
    }
}
