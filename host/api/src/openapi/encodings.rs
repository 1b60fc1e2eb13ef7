//! What is hashed and signed, as data in the description: with it alone a client can be written. A test computes every
//! record from this table and compares it with the types' own.

use serde_json::{Value, json};

use crate::sign::{
    BODY_DIGEST_HEADER, COMMAND_HEADER, IDENTITY_HEADER, NONCE_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER,
};

/// The part `x-encodings`.
pub(super) fn encodings() -> Value {
    json!({
        "text": {
            "digest": "SHA-256, 64 lower-case hexadecimal digits; ids of jobs, tasks and attempts, salts and the \
                       nonces of commitments are written like digests",
            "identity": "an Ed25519 public key, 64 lower-case hexadecimal digits",
            "signature": "Ed25519 over the 32 bytes of a record's digest, 128 lower-case hexadecimal digits",
            "time": "milliseconds since 1970-01-01T00:00:00Z; spans of time are milliseconds, too",
            "blob": "bytes by their SHA-256, with their number",
        },
        "field": {
            "bytes": "the bytes that the hexadecimal digits say",
            "text": "the bytes of the UTF-8 text",
            "number": "8 bytes, unsigned, little-endian",
            "float": "a number whose 8 bytes are the IEEE 754 double, little-endian; zero has no sign",
        },
        "record": "SHA-256 over the record's kind and then its fields, each of which goes after its length in bytes, which \
                   is a number; the kind goes like a text field. A field's `is` says how it is turned into bytes, its \
                   `from` where it is: a path into the object that `over` names, a header, or a `value` that is always \
                   the same. `each` repeats `fields` for every item of a list, in order, `count` is the number of items.",
        "signed-request": {
            "headers": [
                { "name": IDENTITY_HEADER, "is": "identity: who signs" },
                { "name": TIMESTAMP_HEADER, "is": "time as decimal digits, within a minute of the `now` of /v1/about" },
                { "name": NONCE_HEADER, "is": "16 random bytes that no other request has, 32 hexadecimal digits" },
                { "name": BODY_DIGEST_HEADER, "is": "digest of the body; of nothing where there is none" },
                { "name": COMMAND_HEADER, "is": "16 random bytes of a request that changes something, the same in each \
                                                 retry of it, 32 hexadecimal digits; left out for others" },
                { "name": SIGNATURE_HEADER, "is": "signature of the record `request`" },
            ],
        },
        "records": records(),
    })
}

fn records() -> Value {
    json!({
        "request": {
            "over": "the request",
            "kind": "anneal request 1",
            "fields": [
                { "is": "bytes", "from": "`coordinator` of /v1/about" },
                { "is": "text", "from": "the method, in capitals" },
                { "is": "text", "from": "the path, and `?` with the query where there is one, as sent" },
                { "is": "bytes", "from": BODY_DIGEST_HEADER },
                { "is": "number", "from": TIMESTAMP_HEADER },
                { "is": "bytes", "from": NONCE_HEADER },
                { "is": "bytes", "from": COMMAND_HEADER, "empty": "where there is none" },
            ],
        },
        "task-id": {
            "over": "Task",
            "kind": "anneal task 1",
            "fields": [
                { "is": "bytes", "from": "component" },
                { "is": "text", "from": "entry" },
                { "is": "number", "from": "place.round" },
                { "is": "number", "from": "place.segment" },
                { "is": "number", "from": "place.segments" },
                { "is": "number", "from": "place.worker" },
                { "is": "number", "from": "place.workers" },
                { "is": "number", "from": "job_seed" },
                { "is": "number", "count": "parameters" },
                { "each": "parameters", "sorted": "by name", "fields": [
                    { "is": "text", "from": "name" },
                    { "is": "parameter", "from": "value" },
                ] },
                { "is": "number", "count": "inputs" },
                { "each": "inputs", "sorted": "by name", "fields": [
                    { "is": "text", "from": "name" },
                    { "is": "bytes", "from": "value" },
                ] },
                { "is": "number", "count": "states" },
                { "each": "states", "fields": [{ "is": "bytes", "from": "" }] },
                { "is": "number", "from": "limits.gas" },
                { "is": "number", "from": "limits.memory_bytes" },
                { "is": "number", "from": "limits.tensor_bytes" },
                { "is": "number", "from": "limits.handles" },
                { "is": "number", "from": "versions.contract.0" },
                { "is": "number", "from": "versions.contract.1" },
                { "is": "number", "from": "versions.contract.2" },
                { "is": "number", "from": "versions.numerics" },
                { "is": "number", "from": "versions.gas" },
            ],
            "parameter": "one letter and a value: `b` and a byte 0 or 1, `i` and 8 bytes of a signed number, `n` and the 8 \
                          bytes of a double, `t` and the UTF-8 text; numbers are little-endian",
        },
        "result": {
            "over": "Completed",
            "kind": "anneal result 1",
            "fields": [
                { "is": "bytes", "from": "state" },
                { "each": "metrics", "fields": [
                    { "is": "text", "from": "name" },
                    { "is": "number", "from": "step" },
                    { "is": "float", "from": "value" },
                ] },
            ],
        },
        "trace-root": {
            "over": "the digests of all commits, in order",
            "kind": "anneal trace 1",
            "fields": [
                { "is": "number", "count": "" },
                { "each": "", "fields": [{ "is": "bytes", "from": "" }] },
            ],
        },
        "comparison-completed": {
            "over": "Receipt",
            "kind": "anneal comparison 1",
            "fields": [
                { "is": "bytes", "from": "salt" },
                { "is": "text", "value": "completed" },
                { "is": "bytes", "from": "outcome.completed.result" },
                { "is": "bytes", "from": "outcome.state_blob.digest" },
                { "is": "number", "from": "outcome.state_blob.bytes" },
                { "is": "number", "from": "outcome.completed.gas" },
                { "is": "number", "from": "outcome.completed.steps" },
            ],
        },
        "comparison-guest-failure": {
            "over": "Receipt",
            "kind": "anneal comparison 1",
            "fields": [
                { "is": "bytes", "from": "salt" },
                { "is": "text", "value": "guest failure" },
                { "is": "place", "from": "outcome.failure.code", "in": "the values of FailureCode, from 0" },
                { "is": "number", "from": "outcome.failure.gas" },
            ],
        },
        "receipt-root": {
            "over": "Receipt",
            "kind": "anneal receipt 1",
            "fields": [
                { "is": "bytes", "from": "salt" },
                { "is": "bytes", "from": "task" },
                { "is": "bytes", "record": "comparison-completed or comparison-guest-failure, by `outcome.outcome`" },
                { "is": "text", "from": "outcome.failure.message", "empty": "where it has completed" },
                { "is": "bytes", "from": "trace_root" },
                { "is": "bytes", "from": "component" },
                { "is": "number", "from": "versions.contract.0" },
                { "is": "number", "from": "versions.contract.1" },
                { "is": "number", "from": "versions.contract.2" },
                { "is": "number", "from": "versions.numerics" },
                { "is": "number", "from": "versions.gas" },
                { "is": "text", "from": "device_class" },
                { "is": "bytes", "from": "provider" },
                { "is": "number", "from": "lease_epoch" },
            ],
            "meaning": "`task`, `salt` and `lease_epoch` are the lease's (`task_id`, `salt`, `lease_epoch`), `component` \
                        and `versions` its task's, `device_class` the class of the device as enrolled",
        },
        "commitment": {
            "over": "Lease and Receipt",
            "kind": "anneal commitment 1",
            "fields": [
                { "is": "bytes", "from": "lease.task_tag" },
                { "is": "bytes", "from": "lease.attempt" },
                { "is": "number", "from": "lease.lease_epoch" },
                { "is": "bytes", "from": "receipt.provider" },
                { "is": "bytes", "record": "receipt-root" },
                { "is": "bytes", "from": "nonce", "meaning": "32 random bytes, revealed with the receipt" },
            ],
        },
        "signed-receipt": {
            "over": "SignedReceipt",
            "kind": "anneal signed receipt 1",
            "fields": [
                { "is": "bytes", "from": "attempt" },
                { "is": "bytes", "record": "receipt-root" },
            ],
            "meaning": "`signature` is that of `receipt.provider` over this record",
        },
        "component-claim": {
            "over": "JobSpec",
            "kind": "anneal component 1",
            "fields": [{ "is": "bytes", "from": "component.digest" }],
            "meaning": "`component_signature` is the developer's signature over this record",
        },
        "log-genesis": {
            "over": "About",
            "kind": "anneal log 1",
            "fields": [{ "is": "bytes", "from": "coordinator" }],
            "meaning": "the hash before the log's first entry",
        },
        "log-entry": {
            "over": "LogEntry, with the hash of the one before it",
            "kind": "anneal log entry 1",
            "fields": [
                { "is": "bytes", "from": "the hash before" },
                { "is": "number", "from": "sequence" },
                { "is": "number", "from": "at" },
                { "is": "text", "from": "event" },
            ],
            "meaning": "`hash` is this record",
        },
        "log-head": {
            "over": "LogHead, with `coordinator` of /v1/about",
            "kind": "anneal log head 1",
            "fields": [
                { "is": "bytes", "from": "coordinator" },
                { "is": "number", "from": "sequence" },
                { "is": "bytes", "from": "hash" },
                { "is": "number", "from": "at" },
            ],
            "meaning": "`signature` is the coordinator's over this record",
        },
    })
}

#[cfg(test)]
mod tests;
