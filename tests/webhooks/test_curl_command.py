"""The command is run by a real shell, and what it sends is verified by a real receiver."""

import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Account
from tests.receivers import Received, Receiver, status
from webhooks import events, signing
from webhooks.curl_command import command_for, curl_command
from webhooks.engine.dispatch import dispatch
from webhooks.engine.transport import Request
from webhooks.models import Delivery, Webhook

SHELLS = [shell for shell in ("sh", "bash", "zsh", "ksh") if shutil.which(shell)]
NASTY = '\'; rm -rf / #`id`$(id)$HOME!!\\n\\\\ "%s%%" Väinö \u202e \x7f\u009b -@'


def run(shell: str, command: str) -> str:
    # As a script on its input, like what is pasted; an argument could have 128 KB at most.
    done = subprocess.run([shell], input=command, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout


def headers_of(received: Received) -> dict[str, str]:
    return {name.lower(): value for name, value in received.headers}


@pytest.fixture
def delivery(account: Account, listening_webhook: Webhook) -> Delivery:
    events.emit(type="booking.created", account=account, object={"note": NASTY})
    dispatch()
    return Delivery.objects.select_related("event").get()


@pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed.")
@pytest.mark.django_db
class TestRunByAShell:
    @pytest.mark.parametrize("shell", SHELLS)
    def test_what_it_sends_has_the_exact_body_and_both_signatures(
        self, shell: str, delivery: Delivery, listening_webhook: Webhook, receiver: Receiver
    ) -> None:
        receiver.answer_with(status(200, body=b"thanks"))
        output = run(shell, curl_command(delivery, listening_webhook))
        assert output.startswith("HTTP/1.1 200 OK")
        assert output.endswith("thanks")
        [received] = receiver.requests
        assert (received.method, received.path, received.body) == ("POST", "/webhook/wink", bytes(delivery.event.body))
        signing.verify_wink(listening_webhook.secret, headers_of(received), received.body)
        signing.verify_standard(listening_webhook.secret, headers_of(received), received.body)

    def test_it_has_the_headers_of_a_real_request(
        self, delivery: Delivery, listening_webhook: Webhook, receiver: Receiver
    ) -> None:
        run("sh", curl_command(delivery, listening_webhook))
        [received] = receiver.requests
        assert received.header("Content-Type") == "application/json"
        assert received.header("User-Agent") == "Winkhooks/1.0"
        assert received.header("Wink-Event-Id") == str(delivery.event_id)
        assert received.header("Wink-Delivery-Id") == str(delivery.pk)
        assert received.header("Wink-Delivery-Attempt") == "1"
        assert received.header("Expect") is None

    def test_the_largest_body_arrives_whole(
        self, account: Account, listening_webhook: Webhook, receiver: Receiver
    ) -> None:
        note = "ä" * ((events.MAX_ENVELOPE_BYTES - 300) // 2)
        events.emit(type="booking.created", account=account, object={"note": note})
        dispatch()
        delivery = Delivery.objects.select_related("event").get()
        run("sh", curl_command(delivery, listening_webhook))
        [received] = receiver.requests
        assert received.body == bytes(delivery.event.body)
        signing.verify_wink(listening_webhook.secret, headers_of(received), received.body)

    @pytest.mark.parametrize("tail", ["?a=[1-3]&b={x,y}", "?q='%27;id", "?a=$(id)`id`"])
    def test_the_url_stays_as_it_is(
        self, tail: str, delivery: Delivery, listening_webhook: Webhook, receiver: Receiver
    ) -> None:
        listening_webhook.url += tail
        run("sh", curl_command(delivery, listening_webhook))
        assert [request.path for request in receiver.requests] == [f"/webhook/wink{tail}"]

    def test_the_previous_secret_signs_too_while_it_is_valid(
        self, account: Account, delivery: Delivery, listening_webhook: Webhook, receiver: Receiver
    ) -> None:
        previous = listening_webhook.secret
        listening_webhook.rotate_secret(delivery.created_at + timedelta(days=365))
        run("sh", curl_command(delivery, listening_webhook))
        [received] = receiver.requests
        for secret in (previous, listening_webhook.secret):
            signing.verify_wink(secret, headers_of(received), received.body)
            signing.verify_standard(secret, headers_of(received), received.body)


@pytest.mark.django_db
def test_no_secret_stands_in_it(account: Account, delivery: Delivery, listening_webhook: Webhook) -> None:
    command = curl_command(delivery, listening_webhook)
    assert listening_webhook.secret.removeprefix("whsec_") not in command
    assert "whsec_" not in command


def test_it_is_printable_ascii_whatever_the_body() -> None:
    body = bytes(range(1, 256)) + NASTY.encode()
    command = command_for(Request("https://my.system.example/", [], body))
    assert command.isascii()
    assert command.replace("\n", "").isprintable()


@pytest.fixture(scope="module")
def shell() -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(["sh"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=80).map(lambda body: body.replace(b"\0", b"")))
def test_printf_writes_the_same_bytes(shell: "subprocess.Popen[bytes]", body: bytes) -> None:
    printf = command_for(Request("https://my.system.example/", [], body)).partition(" |\n")[0]
    assert shell.stdin is not None
    assert shell.stdout is not None
    shell.stdin.write(f"{printf}\n".encode())
    shell.stdin.flush()
    assert (shell.stdout.read(len(body)) if body else b"") == body
