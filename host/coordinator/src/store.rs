//! What outlives the process, behind one trait: rows, the log, commands' replies, the outbox, blobs' owners, and
//! who leads. SQLite by default, PostgreSQL by a URL; one suite of tests for both.
//!
//! [`Store::commit`] is one transaction that first checks the leader's epoch. A leader that was replaced
//! learns it there, and nothing of it is written: that is the fence.
//!
//! Rows that the market needs in memory lie apart from those of what has ended, in a table that stays small: what
//! an attempt costs does not depend on how long the history is, nor how long loading it takes. What does is looking
//! through a file before it is led on (`check_at_start`).
//!
//! The calls block. The writer has a store on its own thread; readers share another through [`Reader`].

mod checkpoint;
mod lease;
mod open;
mod postgres;
mod reader;
mod schema;
mod seal;
mod sqlite;

use std::collections::BTreeMap;

use anneal_api::{LogEntry, LogHead};
use anneal_job::{Digest, Identity, Timestamp};
use thiserror::Error;

pub use lease::{Leader, Leadership};
pub use open::{StoreUrl, StoreUrlError};
pub use postgres::PostgresStore;
pub use reader::Reader;
pub use sqlite::SqliteStore;

/// Keys and values.
type Rows = Vec<(String, Vec<u8>)>;

/// Counts leaders: each has one more than the one before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// A durable place for the coordinator's state.
pub trait Store: Send {
    /// Leads, where nobody does, or where `own` is the leader's epoch: raises the epoch. `None` while another
    /// one's time is not over.
    fn lead(&mut self, address: &str, own: Option<Epoch>) -> Result<Option<Leadership>, StoreError>;

    /// Leads for longer. Fails with [`StoreError::Fenced`] where another one leads.
    fn renew(&mut self, epoch: Epoch) -> Result<(), StoreError>;

    /// Leads no longer, so that the next one need not wait.
    fn resign(&mut self, epoch: Epoch) -> Result<(), StoreError>;

    /// Who leads.
    fn leader(&mut self) -> Result<Option<Leader>, StoreError>;

    /// Writes all of it or nothing, and only for the leader of this epoch. Afterwards it survives a power cut.
    fn commit(&mut self, epoch: Epoch, transaction: &Transaction) -> Result<(), StoreError>;

    /// Every live row.
    fn live_rows(&mut self) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// How many live rows have keys that begin so.
    fn count_live(&mut self, prefix: &str) -> Result<u64, StoreError>;

    /// One row, live or not.
    fn row(&mut self, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// Rows whose keys begin so, ascending, after a key; or descending, before one.
    fn rows(&mut self, scan: &Scan) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// The recorded commands among these.
    fn commands(&mut self, ids: &[Digest]) -> Result<Vec<CommandRecord>, StoreError>;

    /// The last entry of the log.
    fn log_end(&mut self) -> Result<Option<LogEnd>, StoreError>;

    /// Entries after a place in the log.
    fn log_entries(&mut self, after: u64, limit: u64) -> Result<Vec<LogEntry>, StoreError>;

    /// Heads from one place in the log to another, both included.
    fn log_heads(&mut self, from: u64, to: u64) -> Result<Vec<LogHead>, StoreError>;

    /// Effects that are not done.
    fn outbox(&mut self) -> Result<Vec<OutboxItem>, StoreError>;

    /// One of them.
    fn outbox_item(&mut self, id: &str) -> Result<Option<OutboxItem>, StoreError>;

    /// Who keeps a blob, since when.
    fn blob_keepers(&mut self, blob: Digest) -> Result<Vec<KeptBlob>, StoreError>;

    /// Bytes that an identity keeps.
    fn kept_bytes(&mut self, keeper: Identity) -> Result<u64, StoreError>;

    /// Blobs kept, ascending by digest, after one: for the sweep.
    fn kept_blobs(&mut self, after: Option<Digest>, limit: u64) -> Result<Vec<KeptBlob>, StoreError>;

    /// Looks at the database's own pages, where it can be asked to; says what is wrong with them.
    fn damage(&mut self) -> Result<Vec<String>, StoreError>;

    /// Forgets the replies of commands older than this; at most some thousands at a time.
    fn forget_commands(&mut self, before: Timestamp) -> Result<u64, StoreError>;
}

/// Everything that one group of commands changes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transaction {
    /// Commands and their replies.
    pub commands: Vec<CommandRecord>,
    /// New entries of the log.
    pub entries: Vec<LogEntry>,
    /// The signed end of the log.
    pub head: Option<LogHead>,
    /// Rows written.
    pub rows: Vec<Row>,
    /// Keys of live rows deleted.
    pub deleted: Vec<String>,
    /// Blobs that identities keep from now on. Noted twice, one counts once.
    pub kept: Vec<KeptBlob>,
    /// Blobs that nobody keeps any more.
    pub forgotten: Vec<Digest>,
    /// New effects.
    pub outbox: Vec<OutboxItem>,
    /// Effects that are done.
    pub done: Vec<String>,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its key.
    pub key: String,
    /// Its content.
    pub value: Vec<u8>,
    /// What it is of.
    pub kind: RowKind,
}

/// What a row is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowKind {
    /// What the market needs in memory.
    Live,
    /// What has ended: its last row, which replaces the live one.
    Ended,
    /// Something of the service's own, which never was live.
    Own,
}

/// A command that was carried out, for when it comes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandRecord {
    /// Over the identity and its own id of the command.
    pub id: Digest,
    /// Over what was asked.
    pub content: Digest,
    /// What was answered.
    pub reply: Vec<u8>,
    /// When.
    pub at: Timestamp,
}

/// The end of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    /// The last entry.
    pub sequence: u64,
    /// Its time.
    pub at: Timestamp,
    /// The chain's hash.
    pub hash: Digest,
}

/// An effect that must be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxItem {
    /// Its name: the same effect has the same.
    pub id: String,
    /// What is to be done.
    pub payload: Vec<u8>,
}

/// A blob and an identity that uploaded it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptBlob {
    /// The blob.
    pub blob: Digest,
    /// Who uploaded it.
    pub keeper: Identity,
    /// Its size.
    pub bytes: u64,
    /// When it was complete.
    pub at: Timestamp,
}

/// A range of rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scan {
    /// How their keys begin.
    pub prefix: String,
    /// Only those after this key, or before it where descending.
    pub from: Option<String>,
    /// From the last to the first.
    pub descending: bool,
    /// So many at most.
    pub limit: u64,
}

const UPDATE: &str = "update `anneal` to the version that wrote it; nothing was changed";
const TOO_OLD: &str = "the version that wrote it was never released, so there is no conversion; run that version, or \
                       start with a new folder or database. Nothing was changed";

/// Why the store did not do it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// Another process leads; nothing was written.
    #[error("this process no longer leads: its epoch is {ours}, the leader's {theirs}", ours = .ours.0, theirs = .theirs.0)]
    Fenced {
        /// The epoch of who wanted to write.
        ours: Epoch,
        /// The epoch now.
        theirs: Epoch,
    },
    /// Another process has the data.
    #[error("another coordinator runs on {0}; stop it, or use another folder")]
    InUse(String),
    /// The database failed, or its disk, or the way to it. What was being written is there whole or not at all.
    #[error("the database failed while {doing}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// What lies there is not what was written: a disk forgets, a page was overwritten.
    #[error(
        "the database is damaged: {what}; stop the coordinator, look with `anneal coordinator check`, and restore the \
         last backup"
    )]
    Damaged {
        /// What.
        what: String,
    },
    /// Its tables are of another version of this program.
    #[error(
        "the database has tables of version {found}, and this program reads and writes version {ours}: {}",
        if found > ours { UPDATE } else { TOO_OLD }
    )]
    OtherVersion {
        /// The database's.
        found: i64,
        /// This program's.
        ours: i64,
    },
    /// It belongs to another program.
    #[error("the database has tables of another program; use another database for the coordinator")]
    Foreign,
    /// Something in it is not what was written.
    #[error("the database holds {what}, which no coordinator of this version wrote")]
    Corrupt {
        /// What.
        what: String,
    },
}

impl Transaction {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        let Transaction { commands, entries, head, rows, deleted, kept, forgotten, outbox, done } = self;
        commands.is_empty()
            && entries.is_empty()
            && head.is_none()
            && rows.is_empty()
            && deleted.is_empty()
            && kept.is_empty()
            && forgotten.is_empty()
            && outbox.is_empty()
            && done.is_empty()
    }
}

impl Scan {
    /// The first keys that begin so.
    pub fn prefix(prefix: impl Into<String>, limit: u64) -> Scan {
        Scan { prefix: prefix.into(), from: None, descending: false, limit }
    }

    /// The last keys that begin so.
    pub fn latest(prefix: impl Into<String>, limit: u64) -> Scan {
        Scan { prefix: prefix.into(), from: None, descending: true, limit }
    }

    /// The bounds of the keys: after the first, before the second.
    fn bounds(&self) -> (String, String) {
        // Keys are ASCII, so nothing that begins with the prefix is above this.
        let end = format!("{}\u{7f}", self.prefix);
        match (&self.from, self.descending) {
            (None, _) => (self.prefix.clone(), end),
            (Some(from), false) => (from.clone(), end),
            (Some(from), true) => (self.prefix.clone(), from.clone()),
        }
    }
}

/// Rows of a scan from both tables, of which each gave as many as there may be in all. A live row hides one that
/// ended before.
fn merged(scan: &Scan, ended: Rows, live: Rows) -> Rows {
    let rows: BTreeMap<String, Vec<u8>> = ended.into_iter().chain(live).collect();
    let limit = usize::try_from(scan.limit).unwrap_or(usize::MAX);
    match scan.descending {
        true => rows.into_iter().rev().take(limit).collect(),
        false => rows.into_iter().take(limit).collect(),
    }
}

fn digest(bytes: &[u8], what: &str) -> Result<Digest, StoreError> {
    let bytes =
        bytes.try_into().map_err(|_| StoreError::Corrupt { what: format!("a {what} of another length") })?;
    Ok(Digest::from_bytes(bytes))
}

/// The databases count in signed numbers.
fn to_signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn to_unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

#[cfg(test)]
mod tests;
