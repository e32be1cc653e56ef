"""Servers whose TLS is not healthy: what is wrong is told in words, from what libcurl says of real ones."""

import ssl
from collections.abc import Callable

import pytest
from django.utils import translation

from tests.certificates import Certificate, intermediate, make, root, server_context
from tests.receivers import Connection, Receiver, head
from webhooks import diagnosis
from webhooks.engine import transport
from webhooks.engine.transport import Answer, Request, call
from webhooks.models import Attempt

pytestmark = pytest.mark.usefixtures("loopback_allowed", "root_trusted")


@pytest.fixture
def root_trusted(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    ca_file = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca_file.write_text(root().pem)
    monkeypatch.setattr(transport, "CA_FILE", str(ca_file))


def healthy() -> Certificate:
    return make("Receiver", intermediate())


def old(context: ssl.SSLContext) -> ssl.SSLContext:
    """Let a server speak TLS 1.0 and 1.1 alone."""
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


def demanding_a_certificate(context: ssl.SSLContext, version: ssl.TLSVersion) -> ssl.SSLContext:
    context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=root().pem)
    return context


def without_usual_ciphers(context: ssl.SSLContext) -> ssl.SSLContext:
    """Leave ciphers for keys of RSA, which the server has not."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("RSA+AES")
    return context


def knowing_no_name(context: ssl.SSLContext) -> ssl.SSLContext:
    def refuse(*args: object) -> int:
        return int(ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)

    context.sni_callback = refuse
    return context


def post(url: str) -> Answer:
    return call(Request(url, [], b"{}"))


def call_server(context: ssl.SSLContext) -> Answer:
    with Receiver(tls=context) as receiver:
        answer = post(receiver.url.replace("127.0.0.1", "localhost"))
        assert (receiver.requests == []) == (answer.http_status is None)
        return answer


def meaning_of(answer: Answer) -> str:
    return str(diagnosis.meaning_of(Attempt(error=answer.error, error_text=answer.error_text, duration_ms=1)))


def test_a_healthy_one_is_called() -> None:
    assert call_server(server_context(healthy(), intermediate())).http_status == 204


UNHEALTHY: dict[str, tuple[Callable[[], ssl.SSLContext], str]] = {
    "expired": (
        lambda: server_context(make("Receiver", intermediate(), days=(-3, -1)), intermediate()),
        "The certificate of the receiver, or one that it depends on, has expired.",
    ),
    "intermediate expired": (
        lambda: server_context(
            make("Receiver", expired := make("Old", root(), days=(-3, -1), is_authority=True)), expired
        ),
        "The certificate of the receiver, or one that it depends on, has expired.",
    ),
    "not yet valid": (
        lambda: server_context(make("Receiver", intermediate(), days=(1, 3)), intermediate()),
        "The certificate of the receiver is not valid yet.",
    ),
    "self-signed": (
        lambda: server_context(make("Receiver")),
        "The certificate of the receiver is self-signed,",
    ),
    "unknown authority": (
        lambda: server_context(make("Receiver", own := make("Own root", is_authority=True)), own),
        "The certificate of the receiver is issued by an authority that is not publicly known.",
    ),
    "intermediate missing": (
        lambda: server_context(healthy()),
        "The issuer of the receiver's certificate is not known. Mostly an intermediate certificate is missing:",
    ),
    "another host": (
        lambda: server_context(make("Receiver", intermediate(), hosts=("other.example",)), intermediate()),
        "The certificate of the receiver is for another host.",
    ),
    "old version": (
        lambda: old(server_context(healthy(), intermediate())),
        "The receiver speaks only a version of TLS that is not secure any more.",
    ),
    "unusual ciphers": (
        lambda: without_usual_ciphers(server_context(healthy(), intermediate())),
        "The receiver broke off before the connection was secured.",
    ),
    "client certificate": (
        lambda: demanding_a_certificate(server_context(healthy(), intermediate()), ssl.TLSVersion.TLSv1_2),
        "The receiver broke off before the connection was secured. Check that it demands no client certificate,",
    ),
    "unknown name": (
        lambda: knowing_no_name(server_context(healthy(), intermediate())),
        "The server knows no site of this name.",
    ),
}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("make_context, beginning", UNHEALTHY.values(), ids=UNHEALTHY.keys())
def test_it_says_what_is_wrong(make_context: Callable[[], ssl.SSLContext], beginning: str) -> None:
    answer = call_server(make_context())
    assert (answer.http_status, answer.error) == (None, Attempt.Error.TLS)
    assert meaning_of(answer).startswith(beginning), answer.error_text
    with translation.override("fi"):
        assert not meaning_of(answer).startswith(beginning)


def test_an_address_that_the_certificate_does_not_name_is_another_host() -> None:
    certificate = make("Receiver", intermediate(), hosts=("localhost",))
    with Receiver(tls=server_context(certificate, intermediate())) as receiver:
        answer = post(receiver.url)
    assert meaning_of(answer).startswith("The certificate of the receiver is for another host.")


def test_a_server_without_tls_is_told_apart() -> None:
    def complain(connection: Connection) -> None:
        connection.send(head(400))
        connection.close()

    with Receiver(complain) as receiver:
        answer = post(receiver.url.replace("http:", "https:"))
    assert answer.error == Attempt.Error.TLS
    assert meaning_of(answer).startswith("Something answered, but not in TLS.")


def test_what_libcurl_says_in_other_words_has_the_meaning_of_all() -> None:
    other = Attempt(error="TLS", error_text="Something new", duration_ms=1)
    assert diagnosis.meaning_of(other) == diagnosis.MEANING_BY_ERROR["TLS"]
