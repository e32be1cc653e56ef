import hashlib
import hmac
import time


def verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Say whether a request comes from Wink; body: its raw bytes, not parsed."""
    parts = [part.split("=", 1) for part in headers["Wink-Signature"].split(",")]
    timestamp = next(value for name, value in parts if name == "t")
    if abs(time.time() - int(timestamp)) > 300:
        return False
    signed = timestamp.encode() + b"." + body
    expected = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    signatures = [value for name, value in parts if name == "v1"]
    return any(hmac.compare_digest(one, expected) for one in signatures)
