//! A short digest at the end of each stored value, over its name and itself: a page that a disk or a hand has
//! overwritten is noticed by whoever reads it, whatever it holds now. Not a signature: who may write the database may
//! seal, too.

use anneal_job::{Digest, RecordHasher};

use super::StoreError;

/// Bytes of a seal.
const SEAL_BYTES: usize = 8;

/// The value as it is stored.
pub(super) fn seal(name: &str, value: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(value.len() + SEAL_BYTES);
    sealed.extend_from_slice(value);
    sealed.extend_from_slice(&digest(name, value).as_bytes()[..SEAL_BYTES]);
    sealed
}

/// The value as it was given.
///
/// # Errors
/// Where it is no longer what was stored under this name.
pub(super) fn open(name: &str, mut sealed: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    let damaged = || StoreError::Damaged { what: format!("the row `{}`", name.escape_default()) };
    let length = sealed.len().checked_sub(SEAL_BYTES).ok_or_else(damaged)?;
    let (value, seal) = sealed.split_at(length);
    if digest(name, value).as_bytes()[..SEAL_BYTES] != *seal {
        return Err(damaged());
    }
    sealed.truncate(length);
    Ok(sealed)
}

/// [`open`] for rows with their names.
pub(super) fn open_all(rows: Vec<(String, Vec<u8>)>) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
    rows.into_iter().map(|(name, sealed)| Ok((name.clone(), open(&name, sealed)?))).collect()
}

fn digest(name: &str, value: &[u8]) -> Digest {
    RecordHasher::new("anneal row 1").bytes(name.as_bytes()).bytes(value).finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_changed_byte_is_noticed() {
        let sealed = seal("job/1", b"a row");
        assert_eq!(open("job/1", sealed.clone()).expect("whole"), b"a row");
        assert!(open("job/2", sealed.clone()).is_err(), "another row's value");
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            let error = open("job/1", changed).expect_err("changed");
            assert!(error.to_string().contains("`job/1`"), "{error}");
        }
        for length in 0..sealed.len() {
            assert!(open("job/1", sealed[..length].to_vec()).is_err(), "cut to {length}");
        }
    }
}
