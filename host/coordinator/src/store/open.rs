//! Which store a URL means.

use std::{fmt, path::PathBuf, str::FromStr};

use anneal_api::Secret;
use thiserror::Error;

use super::{PostgresStore, SqliteStore, Store, StoreError};

/// Where the state is kept. Shown without a password.
#[derive(Clone, Debug)]
pub enum StoreUrl {
    /// `sqlite:PATH`, or a path: a file of this machine.
    Sqlite(PathBuf),
    /// `postgres://…`: PostgreSQL, or what speaks its protocol.
    Postgres(Secret),
}

/// A text that names no store.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the store must be `sqlite:PATH` or `postgres://user@host/database`")]
pub struct StoreUrlError;

impl StoreUrl {
    /// Opens it; makes the tables where there are none.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        Ok(match self {
            StoreUrl::Sqlite(path) => Box::new(SqliteStore::open(path)?),
            StoreUrl::Postgres(url) => Box::new(PostgresStore::open(url)?),
        })
    }
}

impl FromStr for StoreUrl {
    type Err = StoreUrlError;

    fn from_str(text: &str) -> Result<StoreUrl, StoreUrlError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(StoreUrl::Postgres(Secret::new(text)));
        }
        match text.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(StoreUrl::Sqlite(path.into())),
            _ => Err(StoreUrlError),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreUrl::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            StoreUrl::Postgres(_) => f.write_str("postgres://…"),
        }
    }
}
