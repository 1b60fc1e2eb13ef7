//! One suite for every store.

use std::{net::TcpListener, path::Path, sync::Arc};

use anneal_api::{LogVerifier, SecretKey, log::genesis};
use anneal_tests::postgres::Cluster;
use tempfile::TempDir;

use super::*;

/// Where a suite's stores are; each opening is another connection to the same data.
struct Place {
    url: StoreUrl,
    /// Whether a second process may open it for leading while another one leads.
    shared: bool,
    _folder: Option<TempDir>,
    _cluster: Option<Arc<Cluster>>,
}

impl Place {
    fn sqlite() -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        let url = StoreUrl::Sqlite(folder.path().join("coordinator.sqlite"));
        Place { url, shared: false, _folder: Some(folder), _cluster: None }
    }

    fn postgres() -> Place {
        let cluster = Cluster::shared();
        let url = cluster.database().parse().expect("a URL");
        Place { url, shared: true, _folder: None, _cluster: Some(cluster) }
    }

    fn open(&self) -> Box<dyn Store> {
        self.url.open().expect("the store opens")
    }
}

fn on_every_store(check: fn(&Place)) {
    check(&Place::sqlite());
    check(&Place::postgres());
}

fn lead(store: &mut dyn Store) -> Epoch {
    store.lead("http://127.0.0.1:1", None).expect("the store answers").expect("nobody else leads").epoch
}

fn row(key: &str, value: &str, live: bool) -> Row {
    let kind = if live { RowKind::Live } else { RowKind::Ended };
    Row { key: key.to_owned(), value: value.as_bytes().to_vec(), kind }
}

fn keys(rows: &[(String, Vec<u8>)]) -> Vec<&str> {
    rows.iter().map(|(key, _)| key.as_str()).collect()
}

#[test]
fn what_was_committed_is_there_after_opening_again() {
    on_every_store(|place| {
        let mut store = place.open();
        let epoch = lead(store.as_mut());
        let command = CommandRecord {
            id: Digest::of(b"id"),
            content: Digest::of(b"content"),
            reply: b"reply".to_vec(),
            at: Timestamp(5),
        };
        let first = Transaction {
            commands: vec![command.clone()],
            rows: vec![row("job/1", "one", true), row("job/2", "two", true), row("task/1", "three", true)],
            outbox: vec![OutboxItem { id: "replay/1".to_owned(), payload: b"run".to_vec() }],
            ..Transaction::default()
        };
        store.commit(epoch, &first).expect("the first");
        let second = Transaction {
            rows: vec![row("job/1", "ended", false)],
            deleted: vec!["task/1".to_owned()],
            outbox: vec![
                OutboxItem { id: "replay/1".to_owned(), payload: b"again".to_vec() },
                OutboxItem { id: "replay/2".to_owned(), payload: b"run".to_vec() },
            ],
            ..Transaction::default()
        };
        store.commit(epoch, &second).expect("the second");
        let third = Transaction { done: vec!["replay/1".to_owned()], ..Transaction::default() };
        store.commit(epoch, &third).expect("the third");
        store.resign(epoch).expect("it led");
        drop(store);

        let mut store = place.open();
        assert_eq!(keys(&store.live_rows().expect("live")), ["job/2"]);
        assert_eq!(store.count_live("job/").expect("a count"), 1);
        assert_eq!(store.row("job/1").expect("a row"), Some(b"ended".to_vec()));
        assert_eq!(store.row("task/1").expect("no row"), None);
        assert_eq!(store.commands(&[Digest::of(b"other"), command.id]).expect("commands"), [command]);
        let outbox = store.outbox().expect("the outbox");
        assert_eq!(outbox.iter().map(|item| item.id.as_str()).collect::<Vec<_>>(), ["replay/2"]);
        assert!(lead(store.as_mut()) > epoch);
    });
}

#[test]
fn a_replaced_leader_writes_nothing() {
    on_every_store(|place| {
        let (mut old, mut new) = (place.open(), place.open());
        let epoch = lead(old.as_mut());
        match new.lead("http://127.0.0.1:2", None) {
            Ok(None) if place.shared => {}
            Err(StoreError::InUse(_)) if !place.shared => {}
            other => panic!("a second leader beside the first: {other:?}"),
        }
        old.renew(epoch).expect("it leads");
        old.resign(epoch).expect("it leads");
        let next = lead(new.as_mut());
        assert!(next > epoch);
        let write = Transaction { rows: vec![row("job/1", "late", true)], ..Transaction::default() };
        let fenced = old.commit(epoch, &write).expect_err("it was replaced");
        assert!(
            matches!(fenced, StoreError::Fenced { ours, theirs } if ours == epoch && theirs == next),
            "{fenced}"
        );
        assert!(matches!(old.renew(epoch), Err(StoreError::Fenced { .. })));
        assert_eq!(new.row("job/1").expect("no row"), None);
        new.commit(next, &write).expect("the new leader writes");
        assert_eq!(new.leader().expect("a leader").map(|leader| leader.epoch), Some(next));
        if place.shared {
            // After a lost connection, the leader need not wait for itself; what was under way is fenced, too.
            let again =
                place.open().lead("http://127.0.0.1:2", Some(next)).expect("the store").expect("its own");
            assert!(again.epoch > next);
            assert!(matches!(new.commit(next, &write), Err(StoreError::Fenced { .. })));
        }
    });
}

#[test]
fn a_transaction_that_cannot_be_written_leaves_nothing() {
    on_every_store(|place| {
        let mut store = place.open();
        let epoch = lead(store.as_mut());
        let command = CommandRecord {
            id: Digest::of(b"id"),
            content: Digest::of(b"content"),
            reply: Vec::new(),
            at: Timestamp(5),
        };
        let first = Transaction { commands: vec![command.clone()], ..Transaction::default() };
        store.commit(epoch, &first).expect("the first");
        // The same command once more, which no writer does: the database itself refuses.
        let second = Transaction {
            commands: vec![command],
            rows: vec![row("job/1", "x", true)],
            ..Transaction::default()
        };
        assert!(matches!(store.commit(epoch, &second), Err(StoreError::Failed { .. })));
        assert_eq!(store.row("job/1").expect("no row"), None);
        let third = Transaction { rows: vec![row("job/2", "x", true)], ..Transaction::default() };
        store.commit(epoch, &third).expect("it goes on");
    });
}

#[test]
fn rows_are_found_by_the_beginning_of_their_keys() {
    on_every_store(|place| {
        let mut store = place.open();
        let epoch = lead(store.as_mut());
        // Keys in an order that languages would sort otherwise.
        let rows = ["own/a/1", "own/a/2", "own/a/3", "own/a-b/1", "own/b/1", "other/1", "own/A/1"];
        let rows = rows.iter().map(|key| row(key, "x", false)).collect();
        store.commit(epoch, &Transaction { rows, ..Transaction::default() }).expect("rows");
        let mut scan = |scan: Scan| store.rows(&scan).expect("rows");
        assert_eq!(keys(&scan(Scan::prefix("own/a/", 10))), ["own/a/1", "own/a/2", "own/a/3"]);
        assert_eq!(keys(&scan(Scan::prefix("own/a/", 2))), ["own/a/1", "own/a/2"]);
        assert_eq!(keys(&scan(Scan::latest("own/a/", 2))), ["own/a/3", "own/a/2"]);
        let before = Scan { from: Some("own/a/2".to_owned()), ..Scan::latest("own/a/", 9) };
        assert_eq!(keys(&scan(before)), ["own/a/1"]);
        let after = Scan { from: Some("own/a/2".to_owned()), ..Scan::prefix("own/", 9) };
        assert_eq!(keys(&scan(after)), ["own/a/3", "own/b/1"]);
        assert_eq!(keys(&scan(Scan::prefix("own/", 9)))[..2], ["own/A/1", "own/a-b/1"]);
        // Live ones among them are found in their places, and hide what ended before under the same key.
        let rows = vec![row("own/a/15", "live", true), row("own/a/2", "again", true)];
        store.commit(epoch, &Transaction { rows, ..Transaction::default() }).expect("rows");
        let mut scan = |scan: Scan| store.rows(&scan).expect("rows");
        assert_eq!(keys(&scan(Scan::prefix("own/a/", 3))), ["own/a/1", "own/a/15", "own/a/2"]);
        assert_eq!(scan(Scan::latest("own/a/", 2))[1], ("own/a/2".to_owned(), b"again".to_vec()));
        assert_eq!(store.row("own/a/2").expect("a row"), Some(b"again".to_vec()));
        assert_eq!(store.live_rows().expect("live").len(), 2);
    });
}

#[test]
fn the_log_reads_back_as_it_was_signed() {
    on_every_store(|place| {
        let mut store = place.open();
        let epoch = lead(store.as_mut());
        let key = SecretKey::generate().expect("random");
        assert_eq!(store.log_end().expect("an empty log"), None);
        let mut hash = genesis(&key.identity());
        for group in 0..4 {
            let mut entries = Vec::new();
            for sequence in group * 3 + 1..=group * 3 + 3 {
                let event = format!("{{\"n\":{sequence},\"text\":\"ä\\u0000\"}}");
                let entry = LogEntry::following(&hash, sequence, Timestamp(sequence), event);
                hash = entry.hash;
                entries.push(entry);
            }
            let head = Some(LogHead::sign(&key, group * 3 + 3, hash, Timestamp(group)));
            store.commit(epoch, &Transaction { entries, head, ..Transaction::default() }).expect("a group");
        }
        let end = store.log_end().expect("a log").expect("its end");
        assert_eq!((end.sequence, end.hash, end.at), (12, hash, Timestamp(12)));
        let mut verifier = LogVerifier::new(key.identity());
        for after in [0, 5, 10] {
            let entries = store.log_entries(after, 5).expect("entries");
            let to = entries.last().map_or(after, |entry| entry.sequence);
            let heads = store.log_heads(after + 1, to).expect("heads");
            verifier.page(&anneal_api::LogPage { entries, heads }).expect("an honest page");
        }
        assert_eq!(verifier.finish().expect("signed").entries, 12);
    });
}

#[test]
fn blobs_are_counted_for_who_keeps_them() {
    on_every_store(|place| {
        let mut store = place.open();
        let (one, two) = (Identity::from_bytes([1; 32]), Identity::from_bytes([2; 32]));
        let kept =
            |blob: &[u8], keeper, bytes| KeptBlob { blob: Digest::of(blob), keeper, bytes, at: Timestamp(9) };
        let epoch = lead(store.as_mut());
        for blob in [kept(b"a", one, 10), kept(b"a", one, 10), kept(b"a", two, 10), kept(b"b", one, 5)] {
            let noted = Transaction { kept: vec![blob], ..Transaction::default() };
            store.commit(epoch, &noted).expect("a blob");
        }
        assert_eq!(store.kept_bytes(one).expect("bytes"), 15);
        assert_eq!(store.blob_keepers(Digest::of(b"a")).expect("keepers").len(), 2);
        let all = store.kept_blobs(None, 10).expect("all");
        assert_eq!(all.len(), 3);
        let after = store.kept_blobs(Some(all[0].blob), 10).expect("the rest");
        assert!(after.iter().all(|kept| kept.blob > all[0].blob) && after.len() < 3);
        let forgotten = Transaction { forgotten: vec![Digest::of(b"a")], ..Transaction::default() };
        store.commit(epoch, &forgotten).expect("forgotten");
        assert_eq!(store.kept_bytes(two).expect("bytes"), 0);
        assert_eq!(store.kept_bytes(one).expect("bytes"), 5);
    });
}

#[test]
fn old_commands_are_forgotten() {
    on_every_store(|place| {
        let mut store = place.open();
        let epoch = lead(store.as_mut());
        let command = |number: u64| CommandRecord {
            id: Digest::of(&number.to_le_bytes()),
            content: Digest::of(b"content"),
            reply: Vec::new(),
            at: Timestamp(number),
        };
        let commands = (0..10).map(command).collect();
        store.commit(epoch, &Transaction { commands, ..Transaction::default() }).expect("commands");
        assert_eq!(store.forget_commands(Timestamp(7)).expect("some"), 7);
        let ids: Vec<Digest> = (0..10).map(|number| command(number).id).collect();
        assert_eq!(store.commands(&ids).expect("the rest").len(), 3);
    });
}

#[test]
fn a_url_with_a_password_is_never_shown() {
    let url: StoreUrl = "postgres://anneal:hidden@db.example.org/anneal".parse().expect("a URL");
    assert!(!format!("{url} {url:?}").contains("hidden"));
    for text in ["", "sqlite:", "mysql://x", "/path"] {
        assert!(text.parse::<StoreUrl>().is_err(), "{text}");
    }
}

#[test]
fn a_server_over_tls_is_checked_and_used() {
    let file = |name: &str| Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/service/tls").join(name);
    // Free a moment ago; who takes it meanwhile makes the server say so.
    let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = port.expect("a free port").port();
    let _cluster = Cluster::start_secured(&file("certificate.pem"), &file("key.pem"), port);
    let open_at = |database: &str, query: &str| {
        let url = format!("postgres://postgres@localhost:{port}/{database}?{query}");
        url.parse::<StoreUrl>().expect("a URL").open()
    };
    let open = |query: &str| open_at("postgres", query);
    let ca = file("ca.pem").display().to_string();
    let mut store = open(&format!("sslmode=verify-full&sslrootcert={ca}")).expect("it opens");
    lead(store.as_mut());
    let unknown = open("sslmode=require").err().expect("nobody vouches for it");
    let why = std::error::Error::source(&unknown).expect("a cause").source().expect("its cause").to_string();
    assert!(why.contains("UnknownIssuer"), "{why}");
    // The server takes nothing that is not encrypted, so what went through above was.
    assert!(open("sslmode=disable").is_err());
    // On this machine nobody has to vouch for a server whose URL asks for no TLS.
    open_at("template1", "").expect("it opens");
}

#[test]
fn tables_of_another_version_or_program_are_refused_and_left_as_they_are() {
    let place = Place::sqlite();
    let StoreUrl::Sqlite(path) = &place.url else { unreachable!("it is SQLite's") };
    drop(place.open());
    let connection = rusqlite::Connection::open(path).expect("it opens");
    for (found, advice) in [(5, "start with a new folder"), (99, "update `anneal`")] {
        connection.execute("UPDATE setting SET value = ?1 WHERE name = 'schema'", [found]).expect("written");
        connection.execute("DROP TABLE IF EXISTS outbox", []).expect("dropped");
        let refused = place.url.open().err().expect("it is refused");
        assert!(matches!(refused, StoreError::OtherVersion { .. }), "{refused:?}");
        let told = refused.to_string();
        assert!(told.contains(&format!("version {found},")) && told.contains(advice), "{told}");
        let made_again = "SELECT count(*) FROM sqlite_schema WHERE name = 'outbox'";
        let count: i64 = connection.query_row(made_again, [], |row| row.get(0)).expect("read");
        assert_eq!(count, 0, "nothing was changed");
    }
    let other = path.with_file_name("cats.sqlite");
    let connection = rusqlite::Connection::open(&other).expect("it opens");
    connection.execute("CREATE TABLE cats (name TEXT)", []).expect("made");
    let refused = StoreUrl::Sqlite(other).open().err().expect("it is refused");
    assert!(matches!(refused, StoreError::Foreign), "{refused:?}");

    let place = Place::postgres();
    let StoreUrl::Postgres(url) = &place.url else { unreachable!("it is PostgreSQL's") };
    PostgresStore::open(url).expect("it opens").set_schema_version(99);
    let refused = place.url.open().err().expect("it is refused");
    assert!(matches!(refused, StoreError::OtherVersion { found: 99, .. }), "{refused:?}");
}
