//! The tables, in the words that both databases understand. `{bytes}` is the type of bytes in each, `{number}` that
//! of a number which rows are found by and added in the order of. `{by key}` ends a table whose short rows lie in
//! the order of its key.

use super::StoreError;

/// Kept in `setting`; another number is another program's database.
pub(super) const SCHEMA_VERSION: i64 = 6;

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS leader (
    id BIGINT PRIMARY KEY, epoch BIGINT NOT NULL, address TEXT NOT NULL, until_ms BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS command (
    id {bytes} PRIMARY KEY, content {bytes} NOT NULL, reply {bytes} NOT NULL, at_ms BIGINT NOT NULL);
CREATE INDEX IF NOT EXISTS command_at ON command (at_ms);
CREATE TABLE IF NOT EXISTS entry (
    sequence {number} PRIMARY KEY, at_ms BIGINT NOT NULL, event TEXT NOT NULL, hash {bytes} NOT NULL);
CREATE TABLE IF NOT EXISTS head (
    sequence {number} PRIMARY KEY, at_ms BIGINT NOT NULL, hash {bytes} NOT NULL, signature {bytes} NOT NULL);
CREATE TABLE IF NOT EXISTS live_item (key TEXT{collation} PRIMARY KEY, value {bytes} NOT NULL);
CREATE TABLE IF NOT EXISTS item (key TEXT{collation} PRIMARY KEY, value {bytes} NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (id TEXT PRIMARY KEY, payload {bytes} NOT NULL);
CREATE TABLE IF NOT EXISTS kept_blob (
    blob {bytes} NOT NULL, keeper {bytes} NOT NULL, bytes BIGINT NOT NULL, at_ms BIGINT NOT NULL,
    PRIMARY KEY (blob, keeper)){by key};
CREATE TABLE IF NOT EXISTS keeper (id {bytes} PRIMARY KEY, bytes BIGINT NOT NULL){by key};
INSERT INTO leader (id, epoch, address, until_ms) VALUES (1, 0, '', 0) ON CONFLICT DO NOTHING;
INSERT INTO setting (name, value) VALUES ('schema', 6) ON CONFLICT DO NOTHING;
";

/// What is in a database before anything is done with it.
pub(super) enum Tables {
    /// Nothing.
    None,
    /// A coordinator's tables.
    Version(i64),
    /// Somebody else's.
    Foreign,
}

impl Tables {
    /// Whether a coordinator of this version may use it, and make what is missing.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        match *self {
            Tables::None | Tables::Version(SCHEMA_VERSION) => Ok(()),
            Tables::Version(found) => Err(StoreError::OtherVersion { found, ours: SCHEMA_VERSION }),
            Tables::Foreign => Err(StoreError::Foreign),
        }
    }
}

/// For SQLite, which compares texts byte by byte.
pub(super) fn sqlite() -> String {
    // By this very name alone it is the table's own order, and needs no index beside it.
    let tables = TABLES.replace("{bytes}", "BLOB").replace("{collation}", "").replace("{number}", "INTEGER");
    tables.replace("{by key}", " WITHOUT ROWID")
}

/// For PostgreSQL, which compares texts by language where it is not told otherwise.
pub(super) fn postgres() -> String {
    let tables = TABLES.replace("{bytes}", "BYTEA").replace("{collation}", " COLLATE \"C\"");
    tables.replace("{number}", "BIGINT").replace("{by key}", "")
}
