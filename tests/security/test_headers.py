"""What every answer tells the browser, and a production whose `check --deploy` finds nothing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from django.templatetags.static import static
from django.test import Client
from pytest_django import Settings

from tests.conftest import PASSWORD
from tests.security.cast import PEOPLE, make_estate, make_person, path_values, signed_in
from tests.security.routes import all_routes
from tests.security.test_access_matrix import send, url_of
from tests.test_settings import BASE_DIR, KEY, env_example
from webhooks import workers

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def policy_in(header: str) -> dict[str, str]:
    directives = [directive.strip().partition(" ") for directive in header.split(";")]
    return {name: sources for name, _, sources in directives}


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["anonymous", "owner", "superuser"])
def test_every_page_has_them(who: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert who in PEOPLE
    monkeypatch.setattr(workers, "ask", lambda seconds: [])
    estate = make_estate("Cool Account")
    client = signed_in(make_person(who, estate))
    values = path_values(estate)
    for route in all_routes():
        if who == "owner" and route.name.startswith("admin:"):
            continue
        response = send(client, "GET", url_of(route, values))

        assert policy_in(response["Content-Security-Policy"]) == POLICY, route
        assert "no-store" in response["Cache-Control"], route
        assert "private" in response["Cache-Control"], route
        assert {name: response.get(name) for name in HEADERS} == HEADERS, route


@pytest.mark.parametrize("path", ["/no-such-page/", "/accounts/019ab2a0-0000-7000-8000-00000000c001/"])
def test_pages_that_tell_of_errors_have_them(owner: object, client: Client, path: str) -> None:
    response = client.get(path, follow=True)

    assert policy_in(response["Content-Security-Policy"]) == POLICY
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db
def test_passkeys_and_copying_are_allowed_and_no_more(client: Client) -> None:
    policy = dict(part.split("=") for part in client.get("/sign-in/")["Permissions-Policy"].split(", "))

    assert {name for name, allowed in policy.items() if allowed == "(self)"} == {
        "clipboard-write",
        "publickey-credentials-create",
        "publickey-credentials-get",
    }
    assert set(policy.values()) == {"(self)", "()"}
    assert {"camera", "microphone", "geolocation", "payment", "usb"} <= set(policy)


def test_static_files_are_what_they_say(client: Client, settings: Settings) -> None:
    settings.WHITENOISE_USE_FINDERS = True
    settings.WHITENOISE_AUTOREFRESH = True
    for name in ("winkhooks.css", "winkhooks.js", "favicon.svg", "vendor/htmx/htmx.min.js"):
        response = client.get(static(name))

        assert response.status_code == 200
        assert response["X-Content-Type-Options"] == "nosniff"
        assert policy_in(response["Content-Security-Policy"]) == POLICY
        # Not the administration's rule for pages: browsers may keep them.
        assert "no-store" not in response.get("Cache-Control", "")
        # Read to its end, it is closed.
        assert response.getvalue()


@pytest.mark.django_db
def test_https_is_remembered(client: Client, settings: Settings) -> None:
    settings.SECURE_HSTS_SECONDS = 31536000
    again = Client()

    assert again.get("/sign-in/", secure=True)["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"
    assert "Strict-Transport-Security" not in again.get("/sign-in/")


@pytest.mark.django_db
def test_cookies_are_for_the_portal_alone(client: Client) -> None:
    estate = make_estate("Cool Account")
    client.post("/sign-in/", {"username": estate.owner.email, "password": PASSWORD})
    client.get("/accounts/new/")

    for name in ("winkhooks_session", "winkhooks_csrf"):
        assert client.cookies[name]["httponly"], name
        assert client.cookies[name]["samesite"] == "Lax", name


# The production example

SECRET_KEY = "".join(map(chr, range(48, 123))).replace("\\", "").replace("`", "")
DEPLOY = (
    "import django; django.setup(); from django.core.management import call_command;"
    "call_command('check', deploy=True, fail_level='INFO')"
)


def check_deploy(variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "winkhooks.settings"} | variables
    return subprocess.run([sys.executable, "-c", DEPLOY], cwd=BASE_DIR, env=environment, capture_output=True, text=True)


def filled_in(example: str, tmp_path: Path) -> Path:
    example = re.sub(r"^SECRET_KEY=$", lambda _: f"SECRET_KEY='{SECRET_KEY}'", example, flags=re.MULTILINE)
    example = re.sub(r"^WEBHOOK_SECRET_KEYS=$", f"WEBHOOK_SECRET_KEYS={KEY}", example, flags=re.MULTILINE)
    file = tmp_path / ".env"
    file.write_text(example.replace("VAR_DIR=/var/lib/winkhooks", f"VAR_DIR={tmp_path / 'lib'}"))
    return file


def test_the_production_example_passes_the_check_of_deployments(tmp_path: Path) -> None:
    checked = check_deploy({"ENV_FILE": str(filled_in(env_example(), tmp_path))})

    assert (checked.returncode, checked.stderr) == (0, "")


def test_so_do_the_containers(tmp_path: Path) -> None:
    """With what compose demands and the mail server alone set."""
    given = {
        "SECRET_KEY": "a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6q7r8s9t0u1v2w3x4y5z6",
        "WEBHOOK_SECRET_KEYS": KEY,
        "ALLOWED_HOSTS": "webhooks.example.com",
        "EMAIL_URL": "smtp+tls://mail.example.com",
        "PORTAL_URL": "https://webhooks.example.com",
        "POSTGRES_PASSWORD": "password",
    }
    environment = yaml.safe_load((BASE_DIR / "compose.yaml").read_text())["services"]["web"]["environment"]
    variables = {
        name: re.sub(r"\$\{(\w+)(:[-?][^}]*)?\}", lambda match: given.get(match[1], ""), value)
        for name, value in environment.items()
    }

    checked = check_deploy(variables | {"ENV_FILE": os.devnull, "VAR_DIR": str(tmp_path)})

    assert (checked.returncode, checked.stderr) == (0, "")


def test_what_weakens_it_is_found(tmp_path: Path) -> None:
    file = filled_in(env_example(), tmp_path)
    checked = check_deploy({"ENV_FILE": str(file), "SECURE_HSTS_SECONDS": "0", "SECURE_SSL_REDIRECT": "False"})

    assert checked.returncode == 1
    assert {"security.W004", "security.W008"} <= set(re.findall(r"security\.W\d+", checked.stderr))
