"""A passkey in Python, which does what a browser and its device do."""

import hashlib
import json
import os
import struct
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import websafe_encode
from fido2.webauthn import Aaguid, AttestationObject, AttestedCredentialData, AuthenticatorData

ORIGIN = "https://testserver"
FLAGS = AuthenticatorData.FLAG


class Passkey:
    """Registers itself and signs; `verifies` is whether it asks for a fingerprint or a PIN."""

    def __init__(self, *, verifies: bool = True, host: str = "testserver", origin: str = ORIGIN) -> None:
        self.verifies = verifies
        self.origin = origin
        self.host = host
        self.id = os.urandom(16)
        self.user_handle = ""
        self._key = ec.generate_private_key(ec.SECP256R1())

    def register(self, options: Any) -> str:
        """Answer the options of a page on which passkeys are added."""
        options = _plain(options)["publicKey"]
        self.user_handle = options["user"]["id"]
        public_key = ES256.from_cryptography_key(self._key.public_key())  # type: ignore[no-untyped-call]
        credential = AttestedCredentialData.create(Aaguid.NONE, self.id, public_key)
        data = AuthenticatorData.create(self._host_hash(), self._flags() | FLAGS.AT, 0, bytes(credential))
        attestation = AttestationObject.create("none", data, {})
        return json.dumps(
            {
                "type": "public-key",
                "id": websafe_encode(self.id),
                "rawId": websafe_encode(self.id),
                "response": {
                    "clientDataJSON": websafe_encode(self._client_data("webauthn.create", options["challenge"])),
                    "attestationObject": websafe_encode(bytes(attestation)),
                },
                "clientExtensionResults": {"credProps": {"rk": self.verifies}},
            }
        )

    def sign(self, options: Any) -> str:
        """Answer the options of a page that asks for a passkey."""
        client_data = self._client_data("webauthn.get", _plain(options)["publicKey"]["challenge"])
        data = self._host_hash() + struct.pack(">BI", self._flags(), 0)
        signature = self._key.sign(data + hashlib.sha256(client_data).digest(), ec.ECDSA(hashes.SHA256()))
        return json.dumps(
            {
                "type": "public-key",
                "id": websafe_encode(self.id),
                "rawId": websafe_encode(self.id),
                "response": {
                    "clientDataJSON": websafe_encode(client_data),
                    "authenticatorData": websafe_encode(data),
                    "signature": websafe_encode(signature),
                    "userHandle": self.user_handle,
                },
                "clientExtensionResults": {},
            }
        )

    def _host_hash(self) -> bytes:
        return hashlib.sha256(self.host.encode()).digest()

    def _flags(self) -> int:
        return FLAGS.UP | (FLAGS.UV if self.verifies else 0)

    def _client_data(self, kind: str, challenge: str) -> bytes:
        return json.dumps({"type": kind, "challenge": challenge, "origin": self.origin}).encode()


def _plain(options: Any) -> Any:
    """Return the options as a page has them, in JSON."""
    return json.loads(json.dumps(options, default=dict))
