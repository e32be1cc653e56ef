import html
import json
import re
import runpy
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from accounts.models import User
from tests.conftest import client_of
from tests.webhooks.views.pages import assert_no_inline_code, text_of
from webhooks import signing
from webhooks.models.webhook import generate_secret

EXAMPLES = Path(settings.BASE_DIR) / "templates" / "webhooks" / "verifying"
BODY = '{"name":"Sauna & Järvi"}'.encode()


def request_headers(secrets: list[str], timestamp: int | None = None) -> dict[str, str]:
    return dict(signing.sign(secrets, "0190a5b2", BODY, timestamp or int(time.time())))


def python_says(name: str, secret: str, headers: dict[str, str], body: bytes) -> bool:
    verified: bool = runpy.run_path(str(EXAMPLES / f"{name}.py"))["verify"](secret, headers, body)
    return verified


def javascript_says(name: str, secret: str, headers: dict[str, str], body: bytes) -> bool:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed.")
    script = (
        f"import {{ verify }} from {json.dumps((EXAMPLES / f'{name}.mjs').as_uri())};"
        "const [secret, headers, body] = JSON.parse(process.argv[1]);"
        "console.log(verify(secret, headers, Buffer.from(body, 'hex')));"
    )
    lower_case = {header.lower(): value for header, value in headers.items()}
    arguments = json.dumps([secret, lower_case, body.hex()])
    answer = subprocess.run(
        [node, "--input-type=module", "--eval", script, arguments],
        capture_output=True,
        check=True,
        text=True,
        timeout=20,
    )
    return answer.stdout == "true\n"


verifiers = pytest.mark.parametrize("verify", [python_says, javascript_says])
signatures = pytest.mark.parametrize("name", ["wink", "standard"])


@verifiers
@signatures
class TestExamples:
    def test_they_accept_what_the_portal_signs(self, verify: type, name: str) -> None:
        secret = generate_secret()
        assert verify(name, secret, request_headers([secret]), BODY) is True

    def test_they_accept_the_previous_secret_after_a_rotation(self, verify: type, name: str) -> None:
        secret, previous = generate_secret(), generate_secret()
        assert verify(name, previous, request_headers([secret, previous]), BODY) is True

    def test_they_refuse_another_secret(self, verify: type, name: str) -> None:
        assert verify(name, generate_secret(), request_headers([generate_secret()]), BODY) is False

    def test_they_refuse_another_body(self, verify: type, name: str) -> None:
        secret = generate_secret()
        assert verify(name, secret, request_headers([secret]), BODY + b" ") is False

    @pytest.mark.parametrize("seconds", [-310, 310])
    def test_they_refuse_a_time_far_from_the_clock(self, verify: type, name: str, seconds: int) -> None:
        secret = generate_secret()
        assert verify(name, secret, request_headers([secret], int(time.time()) + seconds), BODY) is False


def test_anybody_may_read_it(db: None, owner: User) -> None:
    url = reverse("webhooks:verify_guide")
    assert Client().get(url).status_code == 200
    assert client_of(owner).get(url).status_code == 200


def test_it_shows_the_examples_as_they_are(db: None) -> None:
    page = text_of(Client().get(reverse("webhooks:verify_guide")))
    shown = [html.unescape(code) for code in re.findall(r'translate="no">(.*?)</code></pre>', page, re.DOTALL)]
    files = [EXAMPLES / name for name in ("wink.py", "wink.mjs", "standard.py", "standard.mjs")]
    assert [code.strip() for code in shown] == [file.read_text().strip() for file in files]


def test_it_names_the_tolerance_in_both_languages(db: None) -> None:
    url = reverse("webhooks:verify_guide")
    assert "more than 300 seconds away" in text_of(Client().get(url))
    assert "yli 300 sekuntia" in text_of(Client().get(url, headers={"accept-language": "fi"}))


def test_it_has_no_inline_code(db: None) -> None:
    assert_no_inline_code(Client().get(reverse("webhooks:verify_guide")))
