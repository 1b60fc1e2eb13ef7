//! One commit on PostgreSQL: each table gets all its new rows in one statement, and the statements travel
//! together.

use anneal_job::{Digest, Identity, Timestamp};
use tokio_postgres::{Client, Transaction as Database, types::ToSql};

use super::failed;
use crate::store::{
    Epoch, KeptBlob, Row, RowKind, StoreError, Transaction, digest, seal, to_signed, to_unsigned,
};

pub(super) async fn commit(client: &mut Client, ours: Epoch, all: &Transaction) -> Result<(), StoreError> {
    let database = client.transaction().await.map_err(failed("beginning a transaction"))?;
    // The share is held until the commit: whoever wants to lead waits for it.
    let sql = "SELECT epoch FROM leader WHERE id = 1 FOR SHARE";
    let row = database.query_one(sql, &[]).await.map_err(failed("reading the leader"))?;
    let theirs = Epoch(to_unsigned(row.get(0)));
    if theirs != ours {
        return Err(StoreError::Fenced { ours, theirs });
    }
    write(&database, all).await.map_err(failed("writing"))?;
    database.commit().await.map_err(failed("committing"))
}

async fn write(database: &Database<'_>, all: &Transaction) -> Result<(), tokio_postgres::Error> {
    commands(database, all).await?;
    log(database, all).await?;
    rows(database, all).await?;
    blobs(database, all).await?;
    outbox(database, all).await
}

async fn run(
    database: &Database<'_>,
    sql: &str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<(), tokio_postgres::Error> {
    database.execute(sql, parameters).await.map(drop)
}

async fn commands(database: &Database<'_>, all: &Transaction) -> Result<(), tokio_postgres::Error> {
    if all.commands.is_empty() {
        return Ok(());
    }
    let ids: Vec<&[u8]> = all.commands.iter().map(|command| &command.id.as_bytes()[..]).collect();
    let contents: Vec<&[u8]> = all.commands.iter().map(|command| &command.content.as_bytes()[..]).collect();
    let replies = all.commands.iter().map(|command| seal::seal(&command.id.to_string(), &command.reply));
    let replies: Vec<Vec<u8>> = replies.collect();
    let times: Vec<i64> = all.commands.iter().map(|command| to_signed(command.at.0)).collect();
    let sql = "INSERT INTO command (id, content, reply, at_ms)
               SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bytea[], $4::bigint[])";
    run(database, sql, &[&ids, &contents, &replies, &times]).await
}

async fn log(database: &Database<'_>, all: &Transaction) -> Result<(), tokio_postgres::Error> {
    if !all.entries.is_empty() {
        let sequences: Vec<i64> = all.entries.iter().map(|entry| to_signed(entry.sequence)).collect();
        let times: Vec<i64> = all.entries.iter().map(|entry| to_signed(entry.at.0)).collect();
        let events: Vec<&str> = all.entries.iter().map(|entry| &entry.event[..]).collect();
        let hashes: Vec<&[u8]> = all.entries.iter().map(|entry| &entry.hash.as_bytes()[..]).collect();
        let sql = "INSERT INTO entry (sequence, at_ms, event, hash)
                   SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::bytea[])";
        run(database, sql, &[&sequences, &times, &events, &hashes]).await?;
    }
    if let Some(head) = &all.head {
        let sql = "INSERT INTO head (sequence, at_ms, hash, signature) VALUES ($1, $2, $3, $4)";
        let (hash, signature) = (&head.hash.as_bytes()[..], &head.signature.as_bytes()[..]);
        run(database, sql, &[&to_signed(head.sequence), &to_signed(head.at.0), &hash, &signature]).await?;
    }
    Ok(())
}

async fn rows(database: &Database<'_>, all: &Transaction) -> Result<(), tokio_postgres::Error> {
    let (live, ended): (Vec<&Row>, Vec<&Row>) = all.rows.iter().partition(|row| row.kind == RowKind::Live);
    let mut deleted: Vec<&str> = all.deleted.iter().map(String::as_str).collect();
    deleted.extend(ended.iter().filter(|row| row.kind == RowKind::Ended).map(|row| &row.key[..]));
    if !deleted.is_empty() {
        run(database, "DELETE FROM live_item WHERE key = ANY($1)", &[&deleted]).await?;
    }
    for (table, rows) in [("live_item", live), ("item", ended)] {
        if rows.is_empty() {
            continue;
        }
        let keys: Vec<&str> = rows.iter().map(|row| &row.key[..]).collect();
        let values: Vec<Vec<u8>> = rows.iter().map(|row| seal::seal(&row.key, &row.value)).collect();
        let sql = format!(
            "INSERT INTO {table} (key, value) SELECT * FROM unnest($1::text[], $2::bytea[])
             ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        );
        run(database, &sql, &[&keys, &values]).await?;
    }
    Ok(())
}

/// Notes who keeps what, and how much each keeps in all.
async fn blobs(database: &Database<'_>, all: &Transaction) -> Result<(), tokio_postgres::Error> {
    for KeptBlob { blob, keeper, bytes, at } in &all.kept {
        let (blob, keeper) = (&blob.as_bytes()[..], &keeper.as_bytes()[..]);
        let (bytes, at) = (to_signed(*bytes), to_signed(at.0));
        let renew = "UPDATE kept_blob SET at_ms = $3 WHERE blob = $1 AND keeper = $2";
        if database.execute(renew, &[&blob, &keeper, &at]).await? == 0 {
            let write = "INSERT INTO kept_blob (blob, keeper, bytes, at_ms) VALUES ($1, $2, $3, $4)";
            run(database, write, &[&blob, &keeper, &bytes, &at]).await?;
            let count = "INSERT INTO keeper (id, bytes) VALUES ($1, $2)
                         ON CONFLICT (id) DO UPDATE SET bytes = keeper.bytes + excluded.bytes";
            run(database, count, &[&keeper, &bytes]).await?;
        }
    }
    if !all.forgotten.is_empty() {
        let blobs: Vec<&[u8]> = all.forgotten.iter().map(|blob| &blob.as_bytes()[..]).collect();
        let sql = "WITH gone AS (DELETE FROM kept_blob WHERE blob = ANY($1) RETURNING keeper, bytes)
                   UPDATE keeper SET bytes = keeper.bytes - sum.bytes
                   FROM (SELECT keeper AS id, SUM(bytes)::bigint AS bytes FROM gone GROUP BY keeper) AS sum
                   WHERE keeper.id = sum.id";
        run(database, sql, &[&blobs]).await?;
    }
    Ok(())
}

async fn outbox(database: &Database<'_>, all: &Transaction) -> Result<(), tokio_postgres::Error> {
    if !all.outbox.is_empty() {
        let ids: Vec<&str> = all.outbox.iter().map(|item| &item.id[..]).collect();
        let payloads: Vec<Vec<u8>> =
            all.outbox.iter().map(|item| seal::seal(&item.id, &item.payload)).collect();
        let sql = "INSERT INTO outbox (id, payload) SELECT * FROM unnest($1::text[], $2::bytea[])
                   ON CONFLICT DO NOTHING";
        run(database, sql, &[&ids, &payloads]).await?;
    }
    if !all.done.is_empty() {
        run(database, "DELETE FROM outbox WHERE id = ANY($1)", &[&all.done]).await?;
    }
    Ok(())
}

pub(super) fn kept_blob(row: &tokio_postgres::Row) -> Result<KeptBlob, StoreError> {
    let keeper: Digest = digest(row.get(1), "keeper")?;
    Ok(KeptBlob {
        blob: digest(row.get(0), "blob")?,
        keeper: Identity::from_bytes(*keeper.as_bytes()),
        bytes: to_unsigned(row.get(2)),
        at: Timestamp(to_unsigned(row.get(3))),
    })
}
