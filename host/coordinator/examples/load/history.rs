//! Cost per task as history grows, and how long a restart takes with all of it.
//!
//! The first thousand tasks are run over HTTP. Longer histories are theirs many times: every row that a task
//! leaves behind, under new jobs' ids; replies of commands and notes of blobs under random ones, as real ones
//! are; log entries under the numbers that follow. The blobs themselves are not copied.

use std::{path::Path, time::Duration};

use anneal_job::{ParameterValue, PlanSpec, Redundancy};
use rusqlite::{Connection, params};
use tokio::task::JoinSet;

use crate::{
    attempts::measure,
    child::Service,
    fixture::{Job, client_at, ended, new_key},
    provider::Provider,
    setting::Setting,
};

/// Tasks of the job that is copied.
const TASKS: u64 = 1_000;

/// Prints a row per length of history.
pub async fn run(setting: &Setting) {
    println!("\n## Growing history\n");
    println!(
        "| tasks of history | database MiB | ready after ms | after kill -9, ms | \
         coordinator CPU ms per task | per attempt | attempts/s | coordinator MiB |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let folder = setting.folder();
    first(setting, folder.path()).await;
    let database = folder.path().join("coordinator.sqlite");
    let mut tasks = TASKS;
    loop {
        grow(&database, tasks);
        let mib = std::fs::metadata(&database).expect("a file").len() >> 20;
        let service = Service::start(setting, folder.path(), false);
        let ready = service.ready_after;
        let rate = measure(&service, setting, setting.providers, setting.devices).await;
        // The worst moment: everything open, and a journal that was not written back.
        service.kill();
        let service = Service::start(setting, folder.path(), false);
        println!(
            "| {tasks} | {mib} | {} | {} | {:.3} | {:.3} | {:.0} | {:.0} |",
            ready.as_millis(),
            service.ready_after.as_millis(),
            rate.ms * 2.0,
            rate.ms,
            rate.per_second,
            rate.mib,
        );
        service.stop();
        if tasks >= setting.tasks {
            return;
        }
        tasks = (tasks * 10).min(setting.tasks);
    }
}

/// One job from its submission to its end.
async fn first(setting: &Setting, folder: &Path) {
    let service = Service::start(setting, folder, false);
    let developer = client_at(&service.url, new_key()).await;
    let over = [("n".to_owned(), (0..TASKS as i64).map(ParameterValue::Integer).collect())].into();
    let files = tempfile::tempdir().expect("a folder");
    let job = Job::new(files.path(), PlanSpec::Map { over }, Redundancy::Fixed(2));
    let mut running = JoinSet::new();
    for _ in 0..16 {
        running.spawn(Provider::enrol(&service.url, 8).await.run());
    }
    let id = job.submit(&developer).await;
    let view = ended(&developer, id).await;
    assert_eq!(view.summary.tasks_done, TASKS, "{:?}", view.reason);
    // Its last tasks become final.
    tokio::time::sleep(Duration::from_secs(2)).await;
    running.shutdown().await;
    service.stop();
    let database = Connection::open(folder.join("coordinator.sqlite")).expect("the database");
    database
        .execute_batch(&format!(
            "CREATE TABLE model_item AS SELECT key, value FROM item WHERE instr(key, '{id}');
             CREATE TABLE model_entry AS SELECT * FROM entry;
             CREATE TABLE model_head AS SELECT * FROM head;
             CREATE TABLE model_command AS SELECT content, reply, at_ms FROM command;
             CREATE TABLE model_kept AS SELECT keeper, bytes, at_ms FROM kept_blob;
             CREATE TABLE model_name AS SELECT '{id}' AS job, MAX(sequence) AS entries, 1 AS copies FROM entry;"
        ))
        .expect("a copy");
    let left: i64 = database
        .query_row("SELECT COUNT(*) FROM model_item WHERE key LIKE 'task/%'", [], |row| row.get(0))
        .expect("a number");
    assert_eq!(left, TASKS as i64, "every task has left its last row");
}

/// Copies the first job's history until there are so many tasks of it.
fn grow(path: &Path, tasks: u64) {
    let database = Connection::open(path).expect("the database");
    // Without a journal: it would take as much again, and nothing is lost where this is cut off but the measurement.
    let set_up = "PRAGMA journal_mode = DELETE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
                  PRAGMA cache_size = -500000; BEGIN;";
    database.execute_batch(set_up).expect("set up");
    let model = "SELECT job, entries, copies FROM model_name";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
    let (job, entries, copies): (String, i64, i64) = database.query_row(model, [], read).expect("the model");
    let end: i64 =
        database.query_row("SELECT MAX(sequence) FROM entry", [], |row| row.get(0)).expect("the log's end");
    let wanted = (tasks / TASKS) as i64;
    for copy in copies..wanted {
        let offset = end + (copy - copies) * entries;
        let name = anneal_job::Digest::of(&copy.to_le_bytes()).to_string();
        let insert = |sql: &str, values: &[&dyn rusqlite::ToSql]| {
            database.prepare_cached(sql).and_then(|mut sql| sql.execute(values)).expect("copied");
        };
        insert(
            "INSERT INTO item (key, value) SELECT replace(key, ?1, ?2), value FROM model_item",
            &[&job, &name],
        );
        insert(
            "INSERT INTO entry SELECT sequence + ?1, at_ms, event, hash FROM model_entry ORDER BY sequence",
            &[&offset],
        );
        insert(
            "INSERT INTO head SELECT sequence + ?1, at_ms, hash, signature FROM model_head ORDER BY sequence",
            &[&offset],
        );
        insert(
            "INSERT INTO command (id, content, reply, at_ms)
             SELECT randomblob(32), content, reply, at_ms FROM model_command",
            &[],
        );
        insert(
            "INSERT INTO kept_blob (blob, keeper, bytes, at_ms)
             SELECT randomblob(32), keeper, bytes, at_ms FROM model_kept",
            &[],
        );
    }
    let count =
        "INSERT OR REPLACE INTO keeper (id, bytes) SELECT keeper, SUM(bytes) FROM kept_blob GROUP BY keeper";
    database.execute(count, []).expect("counted");
    database.execute("UPDATE model_name SET copies = ?1", params![wanted.max(copies)]).expect("noted");
    database.execute_batch("COMMIT;").expect("written");
    drop(database);
    // What was copied lies on the disk before anything is measured, as history does: otherwise the coordinator's
    // first syncs would write all of it.
    std::fs::File::open(path).and_then(|file| file.sync_all()).expect("synced");
}
