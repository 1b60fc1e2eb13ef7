//! SQLite: one file, in WAL mode, every commit synced to the disk. Only one process may lead on it, which the
//! operating system's lock on a file beside it ensures; so nobody waits after a crash.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
};

use anneal_api::{LogEntry, LogHead, Signature};
use anneal_job::{Digest, Identity, Timestamp};
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, named_params, params};

use super::{
    CommandRecord, Epoch, KeptBlob, Leader, Leadership, LogEnd, OutboxItem, RowKind, Scan, Store, StoreError,
    Transaction,
    checkpoint::Checkpoints,
    digest, merged,
    schema::{self, Tables},
    seal, to_signed, to_unsigned,
};

/// Prepared statements kept.
const STATEMENTS_MAX: usize = 64;
/// Pages of the WAL after which the writer writes back what is left and begins it anew. The longer it is, the
/// fewer pages are written back that change again soon; reading it all after a crash takes less than a second.
const CHECKPOINT_PAGES: u32 = 32_000;
/// KiB of the database in memory.
const CACHE_KIB: i64 = 32 << 10;
/// Damaged places that are named.
const DAMAGE_MAX: u32 = 20;
/// How long to wait for another connection's write.
const BUSY_MS_MAX: u64 = 10_000;

const WRITE_LIVE: &str = "INSERT INTO live_item (key, value) VALUES (?1, ?2)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";
const WRITE_ENDED: &str = "INSERT INTO item (key, value) VALUES (?1, ?2)
    ON CONFLICT (key) DO UPDATE SET value = excluded.value";
const WRITE_KEPT: &str = "INSERT INTO kept_blob (blob, keeper, bytes, at_ms) VALUES (?1, ?2, ?3, ?4)";
const COUNT_KEPT: &str = "INSERT INTO keeper (id, bytes) VALUES (?1, ?2)
    ON CONFLICT (id) DO UPDATE SET bytes = bytes + excluded.bytes";
const DELETE_LIVE: &str = "DELETE FROM live_item WHERE key = ?1";

/// A SQLite database.
pub struct SqliteStore {
    /// Dropped first: its thread has ended before the lock is given back.
    checkpoints: Option<Checkpoints>,
    connection: Connection,
    path: PathBuf,
    lock: Option<File>,
}

impl SqliteStore {
    /// Opens a file, which is made where there is none.
    ///
    /// # Errors
    /// When it cannot be opened or is no coordinator's database.
    pub fn open(path: &Path) -> Result<SqliteStore, StoreError> {
        let connection = Connection::open(path).map_err(failed("opening"))?;
        let set_up = || -> rusqlite::Result<()> {
            connection.pragma_update(None, "journal_mode", "WAL")?;
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
            connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
            Ok(())
        };
        let patience = std::time::Duration::from_millis(BUSY_MS_MAX);
        connection.busy_timeout(patience).map_err(failed("opening"))?;
        // A database that is not ours is left as it is.
        tables(&connection).map_err(failed("opening"))?.check()?;
        set_up().map_err(failed("opening"))?;
        let made = connection.execute_batch(&format!("BEGIN IMMEDIATE; {} COMMIT;", schema::sqlite()));
        made.map_err(failed("making tables"))?;
        tables(&connection).map_err(failed("opening"))?.check()?;
        Ok(SqliteStore { connection, path: path.to_owned(), lock: None, checkpoints: None })
    }

    /// Copies all of it, as of one moment, to a file that is not there; others may write meanwhile.
    ///
    /// # Errors
    /// When it cannot be read, or the file be written.
    pub fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let text = path.to_str().ok_or_else(|| failed("copying")("the file's name is no text"))?;
        self.connection.execute("VACUUM INTO ?1", [text]).map(drop).map_err(failed("copying"))
    }

    /// Forgets a blob in a database that nobody leads on: a copy.
    pub(crate) fn forget_blob(&mut self, blob: Digest) -> Result<(), StoreError> {
        let database = self.connection.transaction().map_err(failed("beginning a transaction"))?;
        blobs(&database, &[], &[blob]).map_err(failed("writing"))?;
        database.commit().map_err(failed("committing"))
    }

    fn epoch(&self) -> Result<Epoch, StoreError> {
        let epoch = self.connection.query_row("SELECT epoch FROM leader WHERE id = 1", [], |row| row.get(0));
        epoch.map(|epoch: i64| Epoch(to_unsigned(epoch))).map_err(failed("reading the leader"))
    }

    fn check(&self, ours: Epoch) -> Result<(), StoreError> {
        let theirs = self.epoch()?;
        if theirs == ours { Ok(()) } else { Err(StoreError::Fenced { ours, theirs }) }
    }

    fn all<T>(
        &mut self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(failed("reading"))?;
        let rows = statement.query_map(parameters, |row| read(row)).map_err(failed("reading"))?;
        rows.collect::<rusqlite::Result<Vec<T>>>().map_err(failed("reading"))
    }
}

fn tables(connection: &Connection) -> rusqlite::Result<Tables> {
    let count = |which: &str| {
        let sql = format!("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND {which}");
        connection.query_row(&sql, [], |row| row.get::<_, i64>(0))
    };
    if count("name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")? == 0 {
        return Ok(Tables::None);
    }
    if count("name = 'setting'")? == 0 {
        return Ok(Tables::Foreign);
    }
    let sql = "SELECT value FROM setting WHERE name = 'schema'";
    Ok(connection.query_row(sql, [], |row| row.get(0)).optional()?.map_or(Tables::Foreign, Tables::Version))
}

impl Store for SqliteStore {
    fn lead(&mut self, address: &str, _: Option<Epoch>) -> Result<Option<Leadership>, StoreError> {
        let path = self.path.with_extension("lock");
        let lock = File::create(&path).map_err(failed("locking"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(self.path.display().to_string())),
            Err(TryLockError::Error(source)) => return Err(failed("locking")(source)),
        }
        self.lock = Some(lock);
        self.checkpoints = Checkpoints::begin(&self.path);
        let sql = "UPDATE leader SET epoch = epoch + 1, address = ?1 WHERE id = 1";
        self.connection.execute(sql, [address]).map_err(failed("leading"))?;
        Ok(Some(Leadership { epoch: self.epoch()?, renew_every: None }))
    }

    fn renew(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        self.check(epoch)
    }

    fn resign(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        self.check(epoch)?;
        self.checkpoints = None;
        self.lock = None;
        Ok(())
    }

    fn leader(&mut self) -> Result<Option<Leader>, StoreError> {
        let sql = "SELECT epoch, address FROM leader WHERE id = 1 AND epoch > 0";
        let leader = self.connection.query_row(sql, [], |row| {
            Ok(Leader { epoch: Epoch(to_unsigned(row.get(0)?)), address: row.get(1)? })
        });
        leader.optional().map_err(failed("reading the leader"))
    }

    fn commit(&mut self, epoch: Epoch, transaction: &Transaction) -> Result<(), StoreError> {
        // Immediate: the epoch is read under the lock under which all is written.
        let begun = self.connection.transaction_with_behavior(TransactionBehavior::Immediate);
        let database = begun.map_err(failed("beginning a transaction"))?;
        let theirs: i64 = database
            .query_row("SELECT epoch FROM leader WHERE id = 1", [], |row| row.get(0))
            .map_err(failed("reading the leader"))?;
        let theirs = Epoch(to_unsigned(theirs));
        if theirs != epoch {
            return Err(StoreError::Fenced { ours: epoch, theirs });
        }
        write(&database, transaction).map_err(failed("writing"))?;
        database.commit().map_err(failed("committing"))
    }

    fn live_rows(&mut self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let sql = "SELECT key, value FROM live_item ORDER BY key";
        seal::open_all(self.all(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?)
    }

    fn count_live(&mut self, prefix: &str) -> Result<u64, StoreError> {
        let (after, before) = Scan::prefix(prefix, 0).bounds();
        let sql = "SELECT COUNT(*) FROM live_item WHERE key > ?1 AND key < ?2";
        let count = self.connection.query_row(sql, [after, before], |row| row.get(0));
        count.map(to_unsigned).map_err(failed("counting"))
    }

    fn row(&mut self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        // The first that there is: a live row hides one that ended before.
        let sql = "SELECT COALESCE((SELECT value FROM live_item WHERE key = ?1),
                                   (SELECT value FROM item WHERE key = ?1))";
        let mut statement = self.connection.prepare_cached(sql).map_err(failed("reading"))?;
        let sealed: Option<Vec<u8>> =
            statement.query_row([key], |row| row.get(0)).map_err(failed("reading"))?;
        sealed.map(|sealed| seal::open(key, sealed)).transpose()
    }

    fn rows(&mut self, scan: &Scan) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let (after, before) = scan.bounds();
        let order = if scan.descending { "DESC" } else { "ASC" };
        let part = |table: &str| {
            format!(
                "SELECT * FROM (SELECT key, value, '{table}' FROM {table} WHERE key > ?1 AND key < ?2
                                ORDER BY key {order} LIMIT ?3)"
            )
        };
        // One statement: what ends meanwhile is seen in one table or the other.
        let sql = format!("{} UNION ALL {}", part("live_item"), part("item"));
        let rows = self.all(&sql, params![after, before, to_signed(scan.limit)], |row| {
            Ok(((row.get(0)?, row.get(1)?), row.get::<_, String>(2)? == "live_item"))
        })?;
        let (live, ended): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, live)| *live);
        let bare = |rows: Vec<((String, Vec<u8>), bool)>| rows.into_iter().map(|(row, _)| row).collect();
        seal::open_all(merged(scan, bare(ended), bare(live)))
    }

    fn commands(&mut self, ids: &[Digest]) -> Result<Vec<CommandRecord>, StoreError> {
        let sql = "SELECT content, reply, at_ms FROM command WHERE id = ?1";
        let mut found = Vec::new();
        for id in ids {
            let rows = self.all(sql, [id.as_bytes()], |row| {
                Ok((row.get::<_, Vec<u8>>(0)?, row.get(1)?, row.get::<_, i64>(2)?))
            })?;
            for (content, reply, at) in rows {
                let (content, at) = (digest(&content, "command")?, Timestamp(to_unsigned(at)));
                let reply = seal::open(&id.to_string(), reply)?;
                found.push(CommandRecord { id: *id, content, reply, at });
            }
        }
        Ok(found)
    }

    fn log_end(&mut self) -> Result<Option<LogEnd>, StoreError> {
        let sql = "SELECT sequence, at_ms, hash FROM entry ORDER BY sequence DESC LIMIT 1";
        let rows = self.all(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?)))?;
        let Some((sequence, at, hash)) = rows.into_iter().next() else { return Ok(None) };
        let hash = digest(&hash, "hash")?;
        Ok(Some(LogEnd { sequence: to_unsigned(sequence), at: Timestamp(to_unsigned(at)), hash }))
    }

    fn log_entries(&mut self, after: u64, limit: u64) -> Result<Vec<LogEntry>, StoreError> {
        let sql =
            "SELECT sequence, at_ms, event, hash FROM entry WHERE sequence > ?1 ORDER BY sequence LIMIT ?2";
        let rows = self.all(sql, [to_signed(after), to_signed(limit)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, Vec<u8>>(3)?))
        })?;
        let entry = |(sequence, at, event, hash): (i64, i64, String, Vec<u8>)| {
            let (sequence, at) = (to_unsigned(sequence), Timestamp(to_unsigned(at)));
            Ok(LogEntry { sequence, at, event, hash: digest(&hash, "hash")? })
        };
        rows.into_iter().map(entry).collect()
    }

    fn log_heads(&mut self, from: u64, to: u64) -> Result<Vec<LogHead>, StoreError> {
        let sql = "SELECT sequence, at_ms, hash, signature FROM head
                   WHERE sequence >= ?1 AND sequence <= ?2 ORDER BY sequence";
        let rows = self.all(sql, [to_signed(from), to_signed(to)], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get::<_, Vec<u8>>(2)?, row.get::<_, [u8; 64]>(3)?))
        })?;
        let head = |(sequence, at, hash, signature): (i64, i64, Vec<u8>, [u8; 64])| {
            let (sequence, at) = (to_unsigned(sequence), Timestamp(to_unsigned(at)));
            let (hash, signature) = (digest(&hash, "hash")?, Signature::from_bytes(signature));
            Ok(LogHead { sequence, hash, at, signature })
        };
        rows.into_iter().map(head).collect()
    }

    fn outbox(&mut self) -> Result<Vec<OutboxItem>, StoreError> {
        let items =
            self.all("SELECT id, payload FROM outbox ORDER BY id", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let items = seal::open_all(items)?.into_iter();
        Ok(items.map(|(id, payload)| OutboxItem { id, payload }).collect())
    }

    fn outbox_item(&mut self, id: &str) -> Result<Option<OutboxItem>, StoreError> {
        let sql = "SELECT id, payload FROM outbox WHERE id = ?1";
        let items = seal::open_all(self.all(sql, [id], |row| Ok((row.get(0)?, row.get(1)?)))?)?;
        Ok(items.into_iter().next().map(|(id, payload)| OutboxItem { id, payload }))
    }

    fn blob_keepers(&mut self, blob: Digest) -> Result<Vec<KeptBlob>, StoreError> {
        let sql = "SELECT blob, keeper, bytes, at_ms FROM kept_blob WHERE blob = ?1 ORDER BY keeper";
        self.all(sql, [blob.as_bytes()], kept_blob)
    }

    fn kept_bytes(&mut self, keeper: Identity) -> Result<u64, StoreError> {
        let sql = "SELECT bytes FROM keeper WHERE id = ?1";
        let bytes = self.connection.query_row(sql, [keeper.as_bytes()], |row| row.get(0)).optional();
        bytes.map(|bytes| bytes.map_or(0, to_unsigned)).map_err(failed("counting bytes"))
    }

    fn kept_blobs(&mut self, after: Option<Digest>, limit: u64) -> Result<Vec<KeptBlob>, StoreError> {
        let sql = "SELECT blob, keeper, bytes, at_ms FROM kept_blob
                   WHERE :after IS NULL OR blob > :after ORDER BY blob, keeper LIMIT :limit";
        let after = after.map(|digest| *digest.as_bytes());
        self.all(sql, named_params! { ":after": after, ":limit": to_signed(limit) }, kept_blob)
    }

    fn damage(&mut self) -> Result<Vec<String>, StoreError> {
        let sql = format!("PRAGMA integrity_check({DAMAGE_MAX})");
        let found: Vec<String> = self.all(&sql, [], |row| row.get(0))?;
        let mut found: Vec<String> = found.into_iter().filter(|line| line != "ok").collect();
        // Replies are read by those alone whose commands come again: the rows that nothing else looks at.
        let mut replies =
            self.connection.prepare("SELECT id, reply FROM command").map_err(failed("reading"))?;
        let mut rows = replies.query([]).map_err(failed("reading"))?;
        while let Some(row) = rows.next().map_err(failed("reading"))? {
            let (id, reply): (Vec<u8>, Vec<u8>) =
                row.get(0).and_then(|id| Ok((id, row.get(1)?))).map_err(failed("reading"))?;
            let opened = digest(&id, "command").and_then(|id| seal::open(&id.to_string(), reply));
            found.extend(opened.err().map(|error| error.to_string()));
            if found.len() >= DAMAGE_MAX as usize {
                break;
            }
        }
        Ok(found)
    }

    fn forget_commands(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let sql = "DELETE FROM command WHERE id IN
                   (SELECT id FROM command WHERE at_ms < ?1 ORDER BY at_ms LIMIT 5000)";
        let deleted = self.connection.execute(sql, [to_signed(before.0)]);
        deleted.map(|count| count as u64).map_err(failed("forgetting commands"))
    }
}

fn write(database: &rusqlite::Transaction<'_>, transaction: &Transaction) -> rusqlite::Result<()> {
    let Transaction { commands, entries, head, rows, deleted, kept, forgotten, outbox, done } = transaction;
    let mut sql =
        database.prepare_cached("INSERT INTO command (id, content, reply, at_ms) VALUES (?1, ?2, ?3, ?4)")?;
    for CommandRecord { id, content, reply, at } in commands {
        let reply = seal::seal(&id.to_string(), reply);
        sql.execute(params![id.as_bytes(), content.as_bytes(), reply, to_signed(at.0)])?;
    }
    let mut sql = database
        .prepare_cached("INSERT INTO entry (sequence, at_ms, event, hash) VALUES (?1, ?2, ?3, ?4)")?;
    for LogEntry { sequence, at, event, hash } in entries {
        sql.execute(params![to_signed(*sequence), to_signed(at.0), event, hash.as_bytes()])?;
    }
    if let Some(LogHead { sequence, hash, at, signature }) = head {
        let sql = "INSERT INTO head (sequence, at_ms, hash, signature) VALUES (?1, ?2, ?3, ?4)";
        let values = params![to_signed(*sequence), to_signed(at.0), hash.as_bytes(), signature.as_bytes()];
        database.prepare_cached(sql)?.execute(values)?;
    }
    let mut write_live = database.prepare_cached(WRITE_LIVE)?;
    let mut write_ended = database.prepare_cached(WRITE_ENDED)?;
    let mut delete_live = database.prepare_cached(DELETE_LIVE)?;
    for super::Row { key, value, kind } in rows {
        if *kind == RowKind::Ended {
            delete_live.execute([key])?;
        }
        let sql = if *kind == RowKind::Live { &mut write_live } else { &mut write_ended };
        sql.execute(params![key, seal::seal(key, value)])?;
    }
    for key in deleted {
        delete_live.execute([key])?;
    }
    blobs(database, kept, forgotten)?;
    for OutboxItem { id, payload } in outbox {
        let sql = "INSERT INTO outbox (id, payload) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        database.prepare_cached(sql)?.execute(params![id, seal::seal(id, payload)])?;
    }
    for id in done {
        database.prepare_cached("DELETE FROM outbox WHERE id = ?1")?.execute([id])?;
    }
    Ok(())
}

/// Notes who keeps what, and how much each keeps in all.
fn blobs(
    database: &rusqlite::Transaction<'_>,
    kept: &[KeptBlob],
    forgotten: &[Digest],
) -> rusqlite::Result<()> {
    let mut count = database.prepare_cached(COUNT_KEPT)?;
    let mut write = database.prepare_cached(WRITE_KEPT)?;
    let mut renew =
        database.prepare_cached("UPDATE kept_blob SET at_ms = ?3 WHERE blob = ?1 AND keeper = ?2")?;
    for KeptBlob { blob, keeper, bytes, at } in kept {
        let (blob, keeper, at) = (blob.as_bytes(), keeper.as_bytes(), to_signed(at.0));
        if renew.execute(params![blob, keeper, at])? == 0 {
            write.execute(params![blob, keeper, to_signed(*bytes), at])?;
            count.execute(params![keeper, to_signed(*bytes)])?;
        }
    }
    let mut forget =
        database.prepare_cached("DELETE FROM kept_blob WHERE blob = ?1 RETURNING keeper, bytes")?;
    for blob in forgotten {
        let mut rows = forget.query([blob.as_bytes()])?;
        while let Some(row) = rows.next()? {
            count.execute(params![row.get::<_, [u8; 32]>(0)?, -row.get::<_, i64>(1)?])?;
        }
    }
    Ok(())
}

fn kept_blob(row: &rusqlite::Row<'_>) -> rusqlite::Result<KeptBlob> {
    Ok(KeptBlob {
        blob: Digest::from_bytes(row.get(0)?),
        keeper: Identity::from_bytes(row.get(1)?),
        bytes: to_unsigned(row.get(2)?),
        at: Timestamp(to_unsigned(row.get(3)?)),
    })
}

fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    doing: &'static str,
) -> impl Fn(E) -> StoreError {
    move |source| StoreError::Failed { doing, source: source.into() }
}
