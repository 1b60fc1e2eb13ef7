//! PostgreSQL, or what speaks its protocol. Several processes may share it; one leads at a time, for as long as
//! it renews, by the database's own clock. Every commit takes a share of the leader's row, so a new leader and
//! an old one's commit never overlap.

mod rows;
mod way;

use std::time::Duration;

use anneal_api::{LogEntry, LogHead, Secret, Signature};
use anneal_job::{Digest, Identity, Timestamp};
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, NoTls, Socket, tls::MakeTlsConnect, types::ToSql};

use self::way::Way;
use super::{
    CommandRecord, Epoch, KeptBlob, Leader, Leadership, LogEnd, OutboxItem, Scan, Store, StoreError,
    Transaction, digest,
    lease::LEAD_FOR,
    merged,
    schema::{self, Tables},
    seal, to_signed, to_unsigned,
};

/// How long a connection may take.
const CONNECT_SECONDS_MAX: u64 = 10;
/// A statement that takes longer fails.
const STATEMENT_MS_MAX: u64 = 30_000;
/// The database's clock, in milliseconds since 1970.
const NOW_MS: &str = "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint";

/// A connection to PostgreSQL, driven by a runtime of its own on the thread that uses it.
pub struct PostgresStore {
    runtime: BackgroundRuntime,
    client: Client,
}

/// A runtime that may be dropped anywhere, also on an async thread.
struct BackgroundRuntime(Option<Runtime>);

impl BackgroundRuntime {
    fn get(&self) -> &Runtime {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for BackgroundRuntime {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(Runtime::shutdown_background);
    }
}

fn outbox_items(rows: &[tokio_postgres::Row]) -> Result<Vec<OutboxItem>, StoreError> {
    let items = seal::open_all(rows.iter().map(|row| (row.get(0), row.get(1))).collect())?;
    Ok(items.into_iter().map(|(id, payload)| OutboxItem { id, payload }).collect())
}

type Parameters<'a> = &'a [&'a (dyn ToSql + Sync)];

impl PostgresStore {
    /// Connects; makes the tables where there are none.
    ///
    /// # Errors
    /// When it cannot connect, or the tables are another version's.
    pub fn open(url: &Secret) -> Result<PostgresStore, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed("connecting"))?;
        let mut way = Way::read(url).map_err(failed("reading its URL"))?;
        way.config.connect_timeout(Duration::from_secs(CONNECT_SECONDS_MAX));
        let tls = way.tls().map_err(failed("setting up TLS"))?;
        let connecting = async {
            match tls {
                Some(tls) => connect(&way.config, tls).await,
                None => connect(&way.config, NoTls).await,
            }
        };
        let client = runtime.block_on(connecting).map_err(failed("connecting"))?;
        let store = PostgresStore { runtime: BackgroundRuntime(Some(runtime)), client };
        store.prepare()?;
        Ok(store)
    }

    fn prepare(&self) -> Result<(), StoreError> {
        // Two processes that start at once must not both make the tables: the lock is on a number of ours.
        self.tables()?.check()?;
        let set_up = format!(
            "SET statement_timeout = {STATEMENT_MS_MAX}; SET synchronous_commit = on; SET client_min_messages = warning;
             BEGIN; SELECT pg_advisory_xact_lock(7227250013); {} COMMIT;",
            schema::postgres()
        );
        self.runtime.get().block_on(self.client.batch_execute(&set_up)).map_err(failed("making tables"))?;
        self.tables()?.check()
    }

    /// Other tables than a coordinator's are nobody's business: a database may be shared.
    fn tables(&self) -> Result<Tables, StoreError> {
        let there = self.query("SELECT to_regclass('setting') IS NOT NULL", &[])?;
        if !there.first().is_some_and(|row| row.get::<_, bool>(0)) {
            return Ok(Tables::None);
        }
        let columns = "SELECT count(*) FROM information_schema.columns WHERE table_name = 'setting'
            AND table_schema = current_schema() AND column_name IN ('name', 'value')";
        if self.query(columns, &[])?.first().is_none_or(|row| row.get::<_, i64>(0) != 2) {
            return Ok(Tables::Foreign);
        }
        let rows = self.query("SELECT value FROM setting WHERE name = 'schema'", &[])?;
        Ok(rows.first().map_or(Tables::Foreign, |row| Tables::Version(row.get(0))))
    }

    fn query(&self, sql: &str, parameters: Parameters<'_>) -> Result<Vec<tokio_postgres::Row>, StoreError> {
        self.runtime.get().block_on(self.client.query(sql, parameters)).map_err(failed("reading"))
    }

    fn execute(&self, sql: &str, parameters: Parameters<'_>) -> Result<u64, StoreError> {
        self.runtime.get().block_on(self.client.execute(sql, parameters)).map_err(failed("writing"))
    }

    fn epoch(&self) -> Result<Epoch, StoreError> {
        let rows = self.query("SELECT epoch FROM leader WHERE id = 1", &[])?;
        let row = rows.first().ok_or_else(|| StoreError::Corrupt { what: "no leader's row".to_owned() })?;
        Ok(Epoch(to_unsigned(row.get(0))))
    }
}

#[cfg(test)]
impl PostgresStore {
    /// As another version of this program leaves its tables.
    pub(super) fn set_schema_version(&self, version: i64) {
        let sql = "UPDATE setting SET value = $1 WHERE name = 'schema'";
        self.execute(sql, &[&version]).expect("it is written");
    }
}

impl Store for PostgresStore {
    fn lead(&mut self, address: &str, own: Option<Epoch>) -> Result<Option<Leadership>, StoreError> {
        let sql = format!(
            "UPDATE leader SET epoch = epoch + 1, address = $1, until_ms = {NOW_MS} + $2
             WHERE id = 1 AND (until_ms < {NOW_MS} OR epoch = $3) RETURNING epoch"
        );
        // No epoch is below 0, so this is nobody's.
        let own = own.map_or(-1, |own| to_signed(own.0));
        let rows = self.query(&sql, &[&address, &to_signed(LEAD_FOR.as_millis() as u64), &own])?;
        Ok(rows
            .first()
            .map(|row| Leadership { epoch: Epoch(to_unsigned(row.get(0))), renew_every: Some(LEAD_FOR / 4) }))
    }

    fn renew(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        let sql = format!("UPDATE leader SET until_ms = {NOW_MS} + $2 WHERE id = 1 AND epoch = $1");
        let renewed = self.execute(&sql, &[&to_signed(epoch.0), &to_signed(LEAD_FOR.as_millis() as u64)])?;
        match renewed {
            1 => Ok(()),
            _ => Err(StoreError::Fenced { ours: epoch, theirs: self.epoch()? }),
        }
    }

    fn resign(&mut self, epoch: Epoch) -> Result<(), StoreError> {
        let sql = "UPDATE leader SET until_ms = 0 WHERE id = 1 AND epoch = $1";
        self.execute(sql, &[&to_signed(epoch.0)]).map(drop)
    }

    fn leader(&mut self) -> Result<Option<Leader>, StoreError> {
        let sql = format!("SELECT epoch, address FROM leader WHERE id = 1 AND until_ms >= {NOW_MS}");
        let rows = self.query(&sql, &[])?;
        Ok(rows.first().map(|row| Leader { epoch: Epoch(to_unsigned(row.get(0))), address: row.get(1) }))
    }

    fn commit(&mut self, epoch: Epoch, transaction: &Transaction) -> Result<(), StoreError> {
        self.runtime.get().block_on(rows::commit(&mut self.client, epoch, transaction))
    }

    fn live_rows(&mut self) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let rows = self.query("SELECT key, value FROM live_item ORDER BY key", &[])?;
        seal::open_all(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    fn count_live(&mut self, prefix: &str) -> Result<u64, StoreError> {
        let (after, before) = Scan::prefix(prefix, 0).bounds();
        let sql = "SELECT COUNT(*) FROM live_item WHERE key > $1 AND key < $2";
        Ok(self.query(sql, &[&after, &before])?.first().map_or(0, |row| to_unsigned(row.get(0))))
    }

    fn row(&mut self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let sql = "SELECT COALESCE((SELECT value FROM live_item WHERE key = $1),
                                   (SELECT value FROM item WHERE key = $1))";
        let sealed: Option<Vec<u8>> = self.query(sql, &[&key])?.first().and_then(|row| row.get(0));
        sealed.map(|sealed| seal::open(key, sealed)).transpose()
    }

    fn rows(&mut self, scan: &Scan) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let (after, before) = scan.bounds();
        let order = if scan.descending { "DESC" } else { "ASC" };
        let part = |table: &str, live: bool| {
            format!(
                "SELECT * FROM (SELECT key, value, {live} AS live FROM {table} WHERE key > $1 AND key < $2
                                ORDER BY key {order} LIMIT $3) AS {table}"
            )
        };
        let sql = format!("{} UNION ALL {}", part("live_item", true), part("item", false));
        let rows = self.query(&sql, &[&after, &before, &to_signed(scan.limit)])?;
        let of = |live: bool| {
            let rows = rows.iter().filter(|row| row.get::<_, bool>(2) == live);
            rows.map(|row| (row.get(0), row.get(1))).collect()
        };
        seal::open_all(merged(scan, of(false), of(true)))
    }

    fn commands(&mut self, ids: &[Digest]) -> Result<Vec<CommandRecord>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<&[u8]> = ids.iter().map(|id| &id.as_bytes()[..]).collect();
        let sql = "SELECT id, content, reply, at_ms FROM command WHERE id = ANY($1)";
        let rows = self.query(sql, &[&ids])?;
        let record = |row: &tokio_postgres::Row| {
            let (id, content) = (digest(row.get(0), "command")?, digest(row.get(1), "command")?);
            let reply = seal::open(&id.to_string(), row.get(2))?;
            Ok(CommandRecord { id, content, reply, at: Timestamp(to_unsigned(row.get(3))) })
        };
        rows.iter().map(record).collect()
    }

    fn log_end(&mut self) -> Result<Option<LogEnd>, StoreError> {
        let rows =
            self.query("SELECT sequence, at_ms, hash FROM entry ORDER BY sequence DESC LIMIT 1", &[])?;
        let Some(row) = rows.first() else { return Ok(None) };
        let (sequence, at) = (to_unsigned(row.get(0)), Timestamp(to_unsigned(row.get(1))));
        Ok(Some(LogEnd { sequence, at, hash: digest(row.get(2), "hash")? }))
    }

    fn log_entries(&mut self, after: u64, limit: u64) -> Result<Vec<LogEntry>, StoreError> {
        let sql =
            "SELECT sequence, at_ms, event, hash FROM entry WHERE sequence > $1 ORDER BY sequence LIMIT $2";
        let rows = self.query(sql, &[&to_signed(after), &to_signed(limit)])?;
        let entry = |row: &tokio_postgres::Row| {
            let (sequence, at) = (to_unsigned(row.get(0)), Timestamp(to_unsigned(row.get(1))));
            Ok(LogEntry { sequence, at, event: row.get(2), hash: digest(row.get(3), "hash")? })
        };
        rows.iter().map(entry).collect()
    }

    fn log_heads(&mut self, from: u64, to: u64) -> Result<Vec<LogHead>, StoreError> {
        let sql = "SELECT sequence, at_ms, hash, signature FROM head
                   WHERE sequence >= $1 AND sequence <= $2 ORDER BY sequence";
        let rows = self.query(sql, &[&to_signed(from), &to_signed(to)])?;
        let head = |row: &tokio_postgres::Row| {
            let (sequence, at) = (to_unsigned(row.get(0)), Timestamp(to_unsigned(row.get(1))));
            let signature: Result<[u8; 64], _> = row.get::<_, &[u8]>(3).try_into();
            let signature = signature
                .map_err(|_| StoreError::Corrupt { what: "a signature of another length".to_owned() })?;
            let hash = digest(row.get(2), "hash")?;
            Ok(LogHead { sequence, hash, at, signature: Signature::from_bytes(signature) })
        };
        rows.iter().map(head).collect()
    }

    fn outbox(&mut self) -> Result<Vec<OutboxItem>, StoreError> {
        let rows = self.query("SELECT id, payload FROM outbox ORDER BY id", &[])?;
        outbox_items(&rows)
    }

    fn outbox_item(&mut self, id: &str) -> Result<Option<OutboxItem>, StoreError> {
        let rows = self.query("SELECT id, payload FROM outbox WHERE id = $1", &[&id])?;
        Ok(outbox_items(&rows)?.into_iter().next())
    }

    fn blob_keepers(&mut self, blob: Digest) -> Result<Vec<KeptBlob>, StoreError> {
        let sql = "SELECT blob, keeper, bytes, at_ms FROM kept_blob WHERE blob = $1 ORDER BY keeper";
        self.query(sql, &[&&blob.as_bytes()[..]])?.iter().map(rows::kept_blob).collect()
    }

    fn kept_bytes(&mut self, keeper: Identity) -> Result<u64, StoreError> {
        let sql = "SELECT bytes FROM keeper WHERE id = $1";
        let rows = self.query(sql, &[&&keeper.as_bytes()[..]])?;
        Ok(rows.first().map_or(0, |row| to_unsigned(row.get(0))))
    }

    fn kept_blobs(&mut self, after: Option<Digest>, limit: u64) -> Result<Vec<KeptBlob>, StoreError> {
        let sql = "SELECT blob, keeper, bytes, at_ms FROM kept_blob
                   WHERE $1::bytea IS NULL OR blob > $1 ORDER BY blob, keeper LIMIT $2";
        let after = after.map(|digest| digest.as_bytes().to_vec());
        self.query(sql, &[&after, &to_signed(limit)])?.iter().map(rows::kept_blob).collect()
    }

    fn damage(&mut self) -> Result<Vec<String>, StoreError> {
        // PostgreSQL looks at its own pages, where its operator has turned checksums on; rows are sealed anyway.
        Ok(Vec::new())
    }

    fn forget_commands(&mut self, before: Timestamp) -> Result<u64, StoreError> {
        let sql = "DELETE FROM command WHERE id IN
                   (SELECT id FROM command WHERE at_ms < $1 ORDER BY at_ms LIMIT 5000)";
        self.execute(sql, &[&to_signed(before.0)])
    }
}

async fn connect<T>(config: &Config, tls: T) -> Result<Client, tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket> + 'static,
    T::Stream: Send,
{
    let (client, connection) = config.connect(tls).await?;
    // Driven whenever the store waits for an answer.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::warn!(%error, "the connection to the database ended");
        }
    });
    Ok(client)
}

fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(
    doing: &'static str,
) -> impl Fn(E) -> StoreError {
    move |source| StoreError::Failed { doing, source: source.into() }
}
