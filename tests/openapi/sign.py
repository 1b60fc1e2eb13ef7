"""What schemathesis needs to get past the door: requests signed with Ed25519, as host/api/src/sign.rs says.

A key of this run, made once, signs every request; the coordinator's key comes from /v1/about. Time and nonce are new
for each, so nothing that is generated fails for being old or repeated.
"""

import hashlib
import os
import time

import requests
import schemathesis
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

URL = os.environ["ANNEAL_COORDINATOR"]
KEY = Ed25519PrivateKey.generate()
IDENTITY = KEY.public_key().public_bytes_raw()
COORDINATOR = bytes.fromhex(requests.get(f"{URL}/v1/about", timeout=30).json()["coordinator"])


def record(kind, *fields):
    """`RecordHasher`: SHA-256 over fields, each after its length."""
    hasher = hashlib.sha256()
    for field in (kind.encode(), *fields):
        hasher.update(len(field).to_bytes(8, "little"))
        hasher.update(field)
    return hasher.digest()


def body_of(request):
    body = request.body or b""
    return body.encode() if isinstance(body, str) else body


class Signed(requests.auth.AuthBase):
    def __call__(self, request):
        at, nonce, command = int(time.time() * 1000), os.urandom(16), os.urandom(16)
        body = hashlib.sha256(body_of(request)).digest()
        digest = record(
            "anneal request 1",
            COORDINATOR,
            request.method.encode(),
            request.path_url.encode(),
            body,
            at.to_bytes(8, "little"),
            nonce,
            command,
        )
        request.headers.update(
            {
                "anneal-identity": IDENTITY.hex(),
                "anneal-timestamp": str(at),
                "anneal-nonce": nonce.hex(),
                "anneal-body-sha256": body.hex(),
                "anneal-command": command.hex(),
                "anneal-signature": KEY.sign(digest).hex(),
            }
        )
        return request


# An enrolled provider gets further.
requests.post(
    f"{URL}/v1/provider",
    json={"name": "generated", "payout": None, "devices": []},
    auth=Signed(),
    timeout=30,
).raise_for_status()
schemathesis.auth.set_from_requests(Signed())
