"""A provider that knows nothing of Anneal but /v1/openapi.json: it enrols, polls, commits and reveals.

    client.py target/release/anneal

Everything that is hashed or signed is computed from `x-encodings` of the description, and nothing here is the project's.
What the two providers claim is made up: that their requests, commitments and receipts are taken is what is shown, and
that the log which says so is one chain, signed by the coordinator. The network is then free to find them out.
"""

import hashlib
import os
import pathlib
import secrets
import struct
import subprocess
import sys
import tempfile
import time

import requests
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

JOB = "examples/hello"
PATIENCE_SECONDS = 120


def at(value, path):
    """A path into a value; an empty one is the value itself."""
    for part in filter(None, path.split(".")):
        if value is None:
            return None
        value = value[int(part)] if isinstance(value, list) else value.get(part)
    return value


def items(value):
    if isinstance(value, dict):
        return [{"name": name, "value": value[name]} for name in sorted(value)]
    return value


class Description:
    """What the coordinator says of itself."""

    def __init__(self, url):
        self.url = url
        self.document = requests.get(f"{url}/v1/openapi.json", timeout=30).json()
        self.records = self.document["x-encodings"]["records"]
        self.coordinator = requests.get(f"{url}/v1/about", timeout=30).json()["coordinator"]

    def operation(self, name):
        for path, methods in self.document["paths"].items():
            for method, operation in methods.items():
                if operation["operationId"] == name:
                    return method.upper(), path
        raise LookupError(name)

    def record(self, name, over, inner=None):
        record = self.records[name]
        hasher = hashlib.sha256()

        def add(field):
            hasher.update(struct.pack("<Q", len(field)))
            hasher.update(field)

        def add_all(fields, over):
            for field in fields:
                if "each" in field:
                    for item in items(at(over, field["each"])):
                        add_all(field["fields"], item)
                elif "count" in field:
                    add(struct.pack("<Q", len(at(over, field["count"]))))
                elif "value" in field:
                    add(field["value"].encode())
                elif "record" in field:
                    add(next(digest for known, digest in inner.items() if known in field["record"]))
                else:
                    path = field["from"]
                    found = over[path] if isinstance(over, dict) and path in over else at(over, path)
                    add(self.encoded(field["is"], found))

        add(record["kind"].encode())
        add_all(record["fields"], over)
        return hasher.digest()

    @staticmethod
    def encoded(kind, value):
        if value is None:
            return b""
        if kind == "bytes":
            return bytes.fromhex(value)
        if kind == "text":
            return value.encode()
        if kind == "number":
            return struct.pack("<Q", int(value))
        if kind == "float":
            return struct.pack("<d", value + 0.0)
        if kind == "parameter" and isinstance(value, bool):
            return b"b" + bytes([value])
        if kind == "parameter" and isinstance(value, int):
            return b"i" + struct.pack("<q", value)
        if kind == "parameter" and isinstance(value, float):
            return b"n" + struct.pack("<d", value)
        if kind == "parameter":
            return b"t" + value.encode()
        raise ValueError(f"{kind} is not described")


class Provider:
    def __init__(self, description, name):
        self.description, self.name = description, name
        self.key = Ed25519PrivateKey.generate()
        self.identity = self.key.public_key().public_bytes_raw().hex()
        self.seen, self.attempts = 0, {}

    def sign(self, digest):
        return self.key.sign(digest).hex()

    def call(self, name, body):
        """A signed request, as `signed-request` describes it."""
        method, path = self.description.operation(name)
        content = requests.models.complexjson.dumps(body).encode()
        headers = {
            "anneal-identity": self.identity,
            "anneal-timestamp": str(int(time.time() * 1000)),
            "anneal-nonce": secrets.token_hex(16),
            "anneal-body-sha256": hashlib.sha256(content).hexdigest(),
            "anneal-command": secrets.token_hex(16),
        }
        over = headers | {
            "`coordinator` of /v1/about": self.description.coordinator,
            "the method, in capitals": method,
            "the path, and `?` with the query where there is one, as sent": path,
        }
        headers["anneal-signature"] = self.sign(self.description.record("request", over))
        headers["content-type"] = "application/json"
        reply = requests.request(
            method, self.description.url + path, data=content, headers=headers, timeout=60
        )
        assert reply.status_code == 200, f"{name}: {reply.status_code} {reply.text}"
        return reply.json()

    def enrol(self, versions):
        device = {
            "device": 0,
            "name": "made up",
            "class": "cpu",
            "memory_bytes": 8 << 30,
            "features": ["cpu"],
            "software": False,
            "selftest": versions,
            "speed_gas_per_second": 1_000_000_000,
            "price_floor": 0,
        }
        self.call("EnrolProvider", {"name": self.name, "payout": None, "devices": [device]})

    def turn(self):
        """Polls once, and does what is wanted; says whether a reveal was taken."""
        idle = [] if self.attempts else [0]
        poll = {"idle": idle, "seen": self.seen, "wait_ms": 1_000, "holds": list(self.attempts)}
        reply = self.call("PollProvider", poll)
        self.seen = reply["revision"]
        commits = [self.commit(lease) for lease in reply["leases"]]
        wanted = [duty["attempt"] for duty in reply["duties"] if duty["duty"] == "reveal"]
        reveals = [self.attempts[attempt] for attempt in wanted if attempt in self.attempts]
        if not commits and not reveals:
            return False
        reply = self.call("SendBatch", {"commits": commits, "reveals": reveals})
        for item in reply["commits"] + reply["reveals"]:
            assert item["error"] is None, item
        return bool(reveals)

    def commit(self, lease):
        describe = self.description.record
        task = lease["task"]
        assert describe("task-id", task).hex() == lease["task_id"], "the task is another one"
        state = hashlib.sha256(b"a state that nobody computed").hexdigest()
        completed = {"state": state, "metrics": [], "gas": 1_000_000, "steps": 0}
        completed["result"] = describe("result", completed).hex()
        receipt = {
            "task": lease["task_id"],
            "outcome": {
                "outcome": "completed",
                "completed": completed,
                "state_blob": {"digest": state, "bytes": 28},
            },
            "trace_root": describe("trace-root", []).hex(),
            "component": task["component"],
            "versions": task["versions"],
            "device_class": "cpu",
            "provider": self.identity,
            "lease_epoch": lease["lease_epoch"],
            "salt": lease["salt"],
        }
        compared = describe("comparison-completed", receipt)
        root = {"receipt-root": describe("receipt-root", receipt, {"comparison-completed": compared})}
        nonce = secrets.token_hex(32)
        signed = {"attempt": lease["attempt"], "receipt": receipt}
        signed["signature"] = self.sign(describe("signed-receipt", signed, root))
        self.attempts[lease["attempt"]] = {"receipt": signed, "nonce": nonce}
        commitment = describe("commitment", {"lease": lease, "receipt": receipt, "nonce": nonce}, root)
        return {"attempt": lease["attempt"], "commitment": commitment.hex()}


def check_log(description):
    """The log is one chain from the coordinator's key on, and its heads are signed by that key."""
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(description.coordinator))
    method, path = description.operation("GetLog")
    before = description.record("log-genesis", {"coordinator": description.coordinator})
    count, hashes = 0, {0: before}
    while True:
        page = requests.request(method, f"{description.url}{path}?after={count}", timeout=30).json()
        for entry in page["entries"]:
            before = description.record("log-entry", entry | {"the hash before": before.hex()})
            assert before.hex() == entry["hash"], f"entry {entry['sequence']} does not follow"
            count = entry["sequence"]
            hashes[count] = before
        for head in page["heads"]:
            digest = description.record("log-head", head | {"coordinator": description.coordinator})
            assert head["hash"] == hashes[head["sequence"]].hex(), "a head of another chain"
            try:
                key.verify(bytes.fromhex(head["signature"]), digest)
            except InvalidSignature:
                sys.exit(f"the head at {head['sequence']} is not the coordinator's")
        if not page["entries"]:
            return count


def main(anneal):
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder)
        environment = os.environ | {"ANNEAL_DATA": str(data), "ANNEAL_CACHE": str(data / "cache")}
        command = [anneal, "coordinator", "--listen", "127.0.0.1:0"]
        coordinator = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            url = coordinator.stdout.readline().removeprefix("listening on ").strip()
            if not url:
                sys.exit("the coordinator did not start")
            description = Description(url)
            about = requests.get(f"{url}/v1/about", timeout=30).json()
            providers = [Provider(description, f"provider {number}") for number in range(2)]
            for provider in providers:
                provider.enrol(about["versions"]["task"])
            submit = [anneal, "submit", JOB, "--coordinator", url, "--yes", "--detach", "--redundancy", "2"]
            subprocess.run(submit, env=environment, check=True, stdout=subprocess.DEVNULL)
            revealed, deadline = set(), time.monotonic() + PATIENCE_SECONDS
            while len(revealed) < len(providers):
                if time.monotonic() > deadline:
                    sys.exit(f"only {revealed or 'nobody'} could reveal")
                revealed |= {provider.name for provider in providers if provider.turn()}
            entries = check_log(description)
            print(f"a client of the description alone: {len(revealed)} receipts taken, {entries} entries of the log hold")
        finally:
            coordinator.terminate()
            coordinator.wait()


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
