import base64
import hashlib
import hmac
from collections.abc import Callable

import pytest
import standardwebhooks
import svix

from webhooks import signing

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PREVIOUS = "whsec_" + base64.b64encode(b"p" * 32).decode()
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'


def signed(secrets: list[str]) -> dict[str, str]:
    return {name.lower(): value for name, value in signing.sign(secrets, ID, BODY, TIMESTAMP)}


def test_it_gives_the_known_answer() -> None:
    assert signed([SECRET])["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_it_signs_with_the_whole_secret_for_wink() -> None:
    # openssl dgst -sha256 -hmac "$SECRET" over "1614265330.{...}"

    expected = hmac.new(SECRET.encode(), b"1614265330." + BODY, hashlib.sha256).hexdigest()
    assert signed([SECRET])["wink-signature"] == f"t=1614265330,v1={expected}"


def test_it_puts_the_newest_secret_first() -> None:
    headers = signed([SECRET, PREVIOUS])
    first, second = headers["webhook-signature"].split(" ")
    assert [first] == signed([SECRET])["webhook-signature"].split(" ")
    assert [second] == signed([PREVIOUS])["webhook-signature"].split(" ")
    assert headers["wink-signature"].count(",v1=") == 2
    assert headers["wink-signature"].startswith(signed([SECRET])["wink-signature"])


@pytest.mark.parametrize("secret", [SECRET, PREVIOUS])
def test_both_secrets_verify_during_an_overlap(secret: str) -> None:
    headers = signed([SECRET, PREVIOUS])
    signing.verify_wink(secret, headers, BODY, now=TIMESTAMP)
    signing.verify_standard(secret, headers, BODY, now=TIMESTAMP)


@pytest.mark.parametrize("library", [standardwebhooks.Webhook, svix.Webhook], ids=["standardwebhooks", "svix"])
def test_the_libraries_of_others_verify_it(library: type, time_machine: object) -> None:
    time_machine.move_to(TIMESTAMP)  # type: ignore[attr-defined]
    library(SECRET).verify(BODY, signed([PREVIOUS, SECRET]))
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        library(SECRET).verify(BODY + b" ", signed([PREVIOUS, SECRET]))


@pytest.mark.parametrize("verify", [signing.verify_wink, signing.verify_standard])
class TestVerify:
    def test_it_refuses_another_body(self, verify: Callable[..., None]) -> None:
        with pytest.raises(signing.InvalidSignature, match="No signature fits"):
            verify(SECRET, signed([SECRET]), BODY + b" ", now=TIMESTAMP)

    def test_it_refuses_another_secret(self, verify: Callable[..., None]) -> None:
        with pytest.raises(signing.InvalidSignature, match="No signature fits"):
            verify(PREVIOUS, signed([SECRET]), BODY, now=TIMESTAMP)

    @pytest.mark.parametrize("now", [TIMESTAMP - 301, TIMESTAMP + 301])
    def test_it_refuses_a_time_too_far_away(self, verify: Callable[..., None], now: int) -> None:
        with pytest.raises(signing.InvalidSignature, match="300 seconds"):
            verify(SECRET, signed([SECRET]), BODY, now=now)

    def test_it_accepts_a_time_within_the_tolerance(self, verify: Callable[..., None]) -> None:
        verify(SECRET, signed([SECRET]), BODY, now=TIMESTAMP + 300)

    def test_it_refuses_a_request_without_signatures(self, verify: Callable[..., None]) -> None:
        with pytest.raises(signing.InvalidSignature, match="no timestamp"):
            verify(SECRET, {}, BODY, now=TIMESTAMP)


@pytest.mark.parametrize("secret", ["whsec_not base64!", "whsec_a", "whsec_ä"])
def test_a_secret_that_holds_no_key_is_told(secret: str) -> None:
    with pytest.raises(signing.InvalidSignature, match="whsec_ and base64"):
        signing.verify_standard(secret, signed([SECRET]), BODY, now=TIMESTAMP)
