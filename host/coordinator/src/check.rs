//! Whether a coordinator's data is what was written: the database's pages, every row, the log's chain with its
//! signatures, what the market needs in memory, and every blob. Reads alone; it may look at one that runs.

use std::collections::BTreeMap;

use anneal_api::{LogPage, log::LogVerifier};
use anneal_job::{Digest, Identity};
use anneal_market::{Key, Market, ReplayOrder};

use crate::{
    blobs::{BlobError, Blobs},
    store::{Scan, Store, StoreError},
};

/// Rows, entries or blobs of one reading.
const PAGE: u64 = 1_000;
/// The row that says whose log this is.
pub(crate) const IDENTITY_ROW: &str = "service/identity";

/// What was looked at, and what is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Rows.
    pub rows: u64,
    /// Entries of the log.
    pub entries: u64,
    /// Blobs.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What is wrong, a sentence each; nothing where all is well.
    pub problems: Vec<String>,
}

/// Looks at a database. Blocks, for as long as reading all of it takes.
pub fn state(store: &mut dyn Store, coordinator: Identity) -> Checked {
    let mut checked = Checked::default();
    match store.damage() {
        Ok(found) => checked.problems.extend(found.into_iter().map(|line| format!("its pages: {line}"))),
        Err(error) => checked.fail("its pages", &error),
    }
    // A part that cannot be read says nothing of the others.
    let parts: [(&str, Part); 5] = [
        ("its owner", |store, coordinator, _| owner(store, coordinator)),
        ("its rows", |store, _, checked| rows(store, checked)),
        ("its log", log),
        ("its market", |store, _, _| market(store)),
        ("its replays", |store, _, _| replays(store)),
    ];
    for (what, part) in parts {
        if let Err(error) = part(store, coordinator, &mut checked) {
            checked.fail(what, &error);
        }
    }
    checked
}

type Part = fn(&mut dyn Store, Identity, &mut Checked) -> Result<(), StoreError>;

impl Checked {
    fn fail(&mut self, what: &str, error: &StoreError) {
        let cause = std::error::Error::source(error).map_or_else(String::new, |cause| format!(" ({cause})"));
        self.problems.push(format!("{what}: {error}{cause}"));
    }
}

fn owner(store: &mut dyn Store, coordinator: Identity) -> Result<(), StoreError> {
    let found = store.row(IDENTITY_ROW)?.map(|row| String::from_utf8_lossy(&row).into_owned());
    match found {
        Some(found) if found != coordinator.to_string() => {
            Err(damaged(format!("it is that of coordinator {found}, and the key is {coordinator}'s")))
        }
        _ => Ok(()),
    }
}

fn rows(store: &mut dyn Store, checked: &mut Checked) -> Result<(), StoreError> {
    let mut scan = Scan::prefix("", PAGE);
    loop {
        let rows = store.rows(&scan)?;
        checked.rows += rows.len() as u64;
        match rows.into_iter().next_back() {
            Some((last, _)) => scan.from = Some(last),
            None => return Ok(()),
        }
    }
}

fn log(store: &mut dyn Store, coordinator: Identity, checked: &mut Checked) -> Result<(), StoreError> {
    let mut verifier = LogVerifier::new(coordinator);
    let wrong = |error: anneal_api::log::LogError| damaged(error.to_string());
    loop {
        let after = verifier.checked();
        let entries = store.log_entries(after, PAGE)?;
        let Some(last) = entries.last().map(|entry| entry.sequence) else { break };
        let heads = store.log_heads(after + 1, last)?;
        verifier.page(&LogPage { entries, heads }).map_err(wrong)?;
        checked.entries = verifier.checked();
    }
    verifier.finish().map(drop).map_err(wrong)
}

fn market(store: &mut dyn Store) -> Result<(), StoreError> {
    let mut keyed = Vec::new();
    for (key, row) in store.live_rows()? {
        let key: Key = key.parse().map_err(|error| damaged(format!("{error}")))?;
        keyed.push((key, row));
    }
    if keyed.is_empty() {
        return Ok(());
    }
    Market::load(keyed).map(drop).map_err(|error| damaged(error.to_string()))
}

fn replays(store: &mut dyn Store) -> Result<(), StoreError> {
    for item in store.outbox()? {
        let order = serde_json::from_slice::<ReplayOrder>(&item.payload);
        order.map_err(|error| damaged(format!("the order {} ({error})", item.id)))?;
    }
    Ok(())
}

fn damaged(what: String) -> StoreError {
    StoreError::Damaged { what }
}

/// Every blob that somebody keeps, and its size. Blocks.
///
/// # Errors
/// Where the database cannot be read.
pub fn kept(store: &mut dyn Store) -> Result<BTreeMap<Digest, u64>, StoreError> {
    let (mut all, mut after) = (BTreeMap::new(), None);
    loop {
        let page = store.kept_blobs(after, PAGE)?;
        let Some(last) = page.last() else { return Ok(all) };
        after = Some(last.blob);
        all.extend(page.iter().map(|kept| (kept.blob, kept.bytes)));
    }
}

/// Reads these blobs whole, and compares them with their names.
///
/// # Errors
/// Where the storage cannot be read at all.
pub async fn blobs(
    kept: &BTreeMap<Digest, u64>,
    blobs: &Blobs,
    checked: &mut Checked,
) -> Result<(), BlobError> {
    for (blob, bytes) in kept {
        checked.blobs += 1;
        checked.bytes += bytes;
        if !blobs.is_sound(*blob, u64::MAX).await? {
            checked.problems.push(format!("the blob {blob} is gone, or its bytes have changed"));
        }
    }
    Ok(())
}
