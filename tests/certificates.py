"""Certificates for servers on loopback, healthy and otherwise, all of them made anew.

A healthy one comes from an intermediate authority, which a root has certified that clients trust.
"""

import ssl
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

DAY = timedelta(days=1)
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Certificate:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()


@cache
def root() -> Certificate:
    """Return the authority that clients are to trust."""
    return make("Root of the tests", is_authority=True)


@cache
def intermediate() -> Certificate:
    return make("Intermediate of the tests", root(), is_authority=True)


def make(
    name: str,
    issuer: Certificate | None = None,
    *,
    hosts: Sequence[str] = LOOPBACK,
    days: tuple[int, int] = (-1, 1),
    is_authority: bool = False,
) -> Certificate:
    """Make a certificate that is valid between two days, counted from now; it signs itself where no `issuer` does."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([_name(host) for host in hosts]), critical=False)
    return Certificate(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def server_context(*chain: Certificate) -> ssl.SSLContext:
    """Return what a server needs that presents `chain`, its own certificate first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(chain[0].key_pem + "".join(certificate.pem for certificate in chain))
        file.flush()
        context.load_cert_chain(file.name)
    return context


def _name(host: str) -> x509.GeneralName:
    return x509.IPAddress(ip_address(host)) if host[-1].isdigit() else x509.DNSName(host)
