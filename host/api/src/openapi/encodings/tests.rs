//! Every record, computed from the table and from the types: they are the same, or the table is wrong.

use std::collections::BTreeMap;

use anneal_job::{
    AttemptId, Blob, CommitmentFields, Completed, Digest, Entry, FailureCode, GuestFailure, Limits, Metric,
    ParameterValue, Place, Receipt, ReceiptOutcome, Task, TaskId, Timestamp, Versions, result_digest,
    trace_root,
};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::{
    CommandId, LogEntry, LogHead, Nonce, SecretKey, log::genesis, sign::RequestClaims, wire::SignedReceipt,
    wire::component_claim,
};

/// What a table's record comes to over a value; records within it are looked up by name.
fn record(name: &str, over: &Value, inner: &BTreeMap<&str, Digest>) -> Digest {
    let all = records();
    let record = all.get(name).unwrap_or_else(|| panic!("no record {name}"));
    let mut hasher = Sha256::new();
    field(&mut hasher, record["kind"].as_str().expect("a kind").as_bytes());
    fields(&mut hasher, record["fields"].as_array().expect("fields"), over, inner);
    Digest::from_bytes(hasher.finalize().into())
}

fn field(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_le_bytes());
    hasher.update(bytes);
}

fn fields(hasher: &mut Sha256, fields: &[Value], over: &Value, inner: &BTreeMap<&str, Digest>) {
    for of in fields {
        if let Some(path) = of["each"].as_str() {
            for item in items(at(over, path)) {
                self::fields(hasher, of["fields"].as_array().expect("fields"), &item, inner);
            }
            continue;
        }
        let value = match (&of["count"], &of["value"], &of["record"]) {
            (Value::String(path), ..) => Value::from(items(at(over, path)).len()),
            (_, value @ Value::String(_), _) => value.clone(),
            (.., Value::String(name)) => {
                let known = inner.iter().find(|(known, _)| name.starts_with(*known));
                Value::from(known.expect("the record was computed").1.to_string())
            }
            _ => at(over, of["from"].as_str().expect("from")).clone(),
        };
        field(hasher, &bytes(of["is"].as_str().expect("is"), &value));
    }
}

/// A path into a value; names with dots in them are names.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    if path.is_empty() {
        return value;
    }
    if let Some(found) = value.get(path) {
        return found;
    }
    path.split('.').fold(value, |value, part| match part.parse::<usize>() {
        Ok(index) => &value[index],
        Err(_) => &value[part],
    })
}

/// The items of a list, or of a table as names and values.
fn items(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items.clone(),
        Value::Object(items) => {
            items.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
        }
        other => panic!("{other} is no list"),
    }
}

fn bytes(is: &str, value: &Value) -> Vec<u8> {
    match (is, value) {
        ("bytes" | "text", Value::Null) => Vec::new(),
        ("bytes", Value::String(text)) => hex::decode(text).expect("digits"),
        ("text", Value::String(text)) => text.clone().into_bytes(),
        ("number", value) => {
            let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
            number.unwrap_or_else(|| panic!("{value} is no number")).to_le_bytes().to_vec()
        }
        ("float", value) => (value.as_f64().expect("a number") + 0.0).to_le_bytes().to_vec(),
        ("place", value) => {
            let codes = serde_json::to_value(schemars::schema_for!(FailureCode)).expect("JSON");
            let codes = codes["oneOf"].as_array().expect("values").clone();
            let place = codes.iter().position(|code| code["const"] == *value || code["enum"][0] == *value);
            (place.expect("one of the values") as u64).to_le_bytes().to_vec()
        }
        ("parameter", Value::Bool(value)) => vec![b'b', u8::from(*value)],
        ("parameter", Value::String(value)) => [b"t", value.as_bytes()].concat(),
        ("parameter", Value::Number(value)) => match value.as_i64() {
            Some(value) => [&b"i"[..], &value.to_le_bytes()].concat(),
            None => [&b"n"[..], &value.as_f64().expect("a number").to_le_bytes()].concat(),
        },
        other => panic!("{other:?}"),
    }
}

fn value(of: &impl serde::Serialize) -> Value {
    serde_json::to_value(of).expect("JSON")
}

fn task() -> Task {
    Task {
        component: Digest::of(b"component"),
        entry: Entry::Train,
        place: Place { round: 1, segment: 2, segments: 3, worker: 4, workers: 5 },
        job_seed: 6,
        parameters: [
            ("b".to_owned(), ParameterValue::Boolean(true)),
            ("i".to_owned(), ParameterValue::Integer(-7)),
            ("n".to_owned(), ParameterValue::Number(0.5)),
            ("t".to_owned(), ParameterValue::Text("ü".to_owned())),
        ]
        .into(),
        inputs: [("x".to_owned(), Digest::of(b"x"))].into(),
        states: vec![Digest::of(b"one"), Digest::of(b"two")],
        limits: Limits::DEFAULT,
        versions: Versions { contract: [1, 2, 3], numerics: 4, gas: 5 },
    }
}

fn receipts(key: &SecretKey) -> Vec<Receipt> {
    let metrics = vec![Metric { name: "loss".to_owned(), step: 1, value: -0.0 }];
    let state = Digest::of(b"state");
    let completed = Completed { result: result_digest(state, &metrics), state, metrics, gas: 8, steps: 9 };
    let state_blob = Blob { digest: Digest::of(b"file"), bytes: 10 };
    let failure = |code| GuestFailure { code, message: "lib.rs:7: ü".to_owned(), gas: 11 };
    let mut outcomes = vec![ReceiptOutcome::Completed { completed, state_blob }];
    for code in [FailureCode::Error, FailureCode::Gas, FailureCode::State] {
        outcomes.push(ReceiptOutcome::GuestFailure { failure: failure(code) });
    }
    let receipt = |outcome| Receipt {
        task: TaskId(Digest::of(b"task")),
        outcome,
        trace_root: Digest::of(b"trace"),
        component: Digest::of(b"component"),
        versions: task().versions,
        device_class: "cpu".to_owned(),
        provider: key.identity(),
        lease_epoch: 12,
        salt: Digest::of(b"salt"),
    };
    outcomes.into_iter().map(receipt).collect()
}

#[test]
fn requests_tasks_results_and_traces_are_as_described() {
    let key = SecretKey::generate().expect("random");
    for command in [Some(CommandId([9; 16])), None] {
        let claims = RequestClaims {
            audience: key.identity(),
            method: "POST".to_owned(),
            target: "/v1/jobs?wait=1".to_owned(),
            body: Digest::of(b"{}"),
            at: Timestamp(13),
            nonce: Nonce([7; 16]),
            command,
        };
        let mut over = json!({
            "`coordinator` of /v1/about": key.identity(),
            "the method, in capitals": "POST",
            "the path, and `?` with the query where there is one, as sent": "/v1/jobs?wait=1",
        });
        let mut headers = http::HeaderMap::new();
        claims.sign_into(&key, &mut headers);
        for (name, header) in &headers {
            over[name.as_str()] = header.to_str().expect("text").into();
        }
        assert_eq!(record("request", &over, &BTreeMap::new()), claims.digest());
        let described = encodings();
        let described = described["signed-request"]["headers"].as_array().expect("headers").clone();
        assert!(headers.keys().all(|name| described.iter().any(|header| header["name"] == name.as_str())));
    }
    assert_eq!(record("task-id", &value(&task()), &BTreeMap::new()), task().id().0);
    let commits = [Digest::of(b"1"), Digest::of(b"2")];
    assert_eq!(record("trace-root", &value(&commits), &BTreeMap::new()), trace_root(&commits));
    assert_eq!(
        record("component-claim", &json!({ "component": { "digest": commits[0] } }), &BTreeMap::new()),
        component_claim(commits[0])
    );
}

#[test]
fn receipts_and_commitments_are_as_described() {
    let key = SecretKey::generate().expect("random");
    for receipt in receipts(&key) {
        let over = value(&receipt);
        let name = match &receipt.outcome {
            ReceiptOutcome::Completed { completed, .. } => {
                let result = record("result", &value(completed), &BTreeMap::new());
                assert_eq!(result, completed.result);
                "comparison-completed"
            }
            ReceiptOutcome::GuestFailure { .. } => "comparison-guest-failure",
        };
        let key_digest = record(name, &over, &BTreeMap::new());
        assert_eq!(key_digest, receipt.outcome.key(receipt.salt), "{name}");
        let inner = BTreeMap::from([("comparison-completed", key_digest)]);
        let root = record("receipt-root", &over, &inner);
        assert_eq!(root, receipt.root());
        let inner = BTreeMap::from([("receipt-root", root)]);
        let (attempt, nonce) = (AttemptId(Digest::of(b"attempt")), [3; 32]);
        let fields = CommitmentFields {
            task_tag: Digest::of(b"tag"),
            attempt,
            lease_epoch: receipt.lease_epoch,
            provider: receipt.provider,
            receipt_root: root,
        };
        let over = json!({
            "lease": { "task_tag": fields.task_tag, "attempt": attempt, "lease_epoch": fields.lease_epoch },
            "receipt": over,
            "nonce": hex::encode(nonce),
        });
        assert_eq!(record("commitment", &over, &inner), fields.commitment(&nonce));
        let signed = SignedReceipt::sign(&key, attempt, receipt);
        let digest = record("signed-receipt", &value(&signed), &inner);
        assert!(signed.signature.is_by(&key.identity(), &digest));
    }
}

#[test]
fn the_log_is_as_described() {
    let key = SecretKey::generate().expect("random");
    let begin = record("log-genesis", &json!({ "coordinator": key.identity() }), &BTreeMap::new());
    assert_eq!(begin, genesis(&key.identity()));
    let entry = LogEntry::following(&begin, 1, Timestamp(14), "{\"event\":\"ü\"}".to_owned());
    let mut over = value(&entry);
    over["the hash before"] = value(&begin);
    assert_eq!(record("log-entry", &over, &BTreeMap::new()), entry.hash);
    let head = LogHead::sign(&key, 1, entry.hash, Timestamp(15));
    let mut over = value(&head);
    over["coordinator"] = value(&key.identity());
    assert!(head.signature.is_by(&key.identity(), &record("log-head", &over, &BTreeMap::new())));
}
