import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from webhooks.engine.drain import LONGEST_SECONDS

BASE_DIR = Path(__file__).resolve().parent.parent
KEY = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="


def variables_of_the_settings() -> set[str]:
    """Return the names that settings.py hands to django-environ or to a function of its own."""
    tree = ast.parse((BASE_DIR / "winkhooks/settings.py").read_text())
    own = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    names = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
            continue
        function = ast.unparse(node.func)
        if function.startswith("env.") or function in own:
            names.add(str(node.args[0].value))
    # It names the file that holds the others.
    return names - {"ENV_FILE"}


def variables_of(text: str) -> list[str]:
    return re.findall(r"^(?:# )?([A-Z_]+)=", text, flags=re.MULTILINE)


def env_example() -> str:
    return (BASE_DIR / ".env.example").read_text()


def load_settings(
    code: str = "import winkhooks.settings", *, debug: str = "False", **variables: str
) -> subprocess.CompletedProcess[str]:
    complete = {"SECRET_KEY": "a-secret-key", "WEBHOOK_SECRET_KEYS": KEY, "ENV_FILE": os.devnull, "DEBUG": debug}
    environment = {"PATH": os.environ["PATH"]} | complete | variables
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
    )


def test_checks_are_silenced_besides_the_one_that_always_is() -> None:
    code = "from winkhooks import settings; print(settings.SILENCED_SYSTEM_CHECKS)"
    loaded = load_settings(code, SILENCED_SYSTEM_CHECKS="webhooks.W004,webhooks.W005")
    assert loaded.stdout.strip() == "['security.W021', 'webhooks.W004', 'webhooks.W005']"


def test_the_example_names_the_variables_of_the_settings() -> None:
    assert sorted(variables_of(env_example())) == sorted(variables_of_the_settings())
    assert "WEBHOOK_SECRET_KEYS" in variables_of_the_settings()
    assert "DATABASE_URL" in variables_of_the_settings()


def test_each_variable_of_the_example_has_a_comment() -> None:
    for block in env_example().strip().split("\n\n"):
        assert block.startswith("# "), block


def test_the_example_works_once_its_keys_are_filled_in(tmp_path: Path) -> None:
    example = re.sub(r"^SECRET_KEY=$", "SECRET_KEY=x", env_example(), flags=re.MULTILINE)
    example = re.sub(r"^WEBHOOK_SECRET_KEYS=$", f"WEBHOOK_SECRET_KEYS={KEY}", example, flags=re.MULTILINE)
    example = example.replace("VAR_DIR=/var/lib/winkhooks", f"VAR_DIR={tmp_path / 'lib/winkhooks'}")
    file = tmp_path / ".env"
    file.write_text(example)

    environment = {"PATH": os.environ["PATH"], "ENV_FILE": str(file)}
    loaded = subprocess.run(
        [
            sys.executable,
            "-c",
            "from winkhooks.settings import *;"
            "print(DEBUG, SESSION_COOKIE_SECURE, CSRF_COOKIE_SECURE, WEBHOOK_REQUIRE_HTTPS, WEBHOOK_ALLOWED_NETWORKS)",
        ],
        cwd=BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
    )

    assert (loaded.stderr, loaded.stdout) == ("", "False True True True []\n")


@pytest.mark.parametrize(
    "name, value",
    [
        ("DEBUG", "ture"),
        ("SECRET_KEY", ""),
        ("SESSION_COOKIE_SECURE", "2"),
        ("SECURE_SSL_REDIRECT", "always"),
        ("SECURE_HSTS_SECONDS", "-1"),
        ("SECURE_HSTS_SECONDS", "1y"),
        ("CSRF_COOKIE_SECURE", "maybe"),
        ("EMAIL_URL", "mail.example.com"),
        ("EMAIL_URL", "pop3://mail.example.com"),
        ("EMAIL_URL", "smtp://"),
        ("EMAIL_URL", "smtp://mail.example.com:smtp"),
        ("DEFAULT_FROM_EMAIL", "Wink"),
        ("DEFAULT_FROM_EMAIL", "webhooks@"),
        ("PORTAL_URL", "webhooks.example.com"),
        ("PORTAL_URL", "https://"),
        ("HEARTBEAT_URL", "monitor.example.com/ping"),
        ("HEARTBEAT_URL", "https:///ping"),
        ("DATABASE_URL", "mysql://localhost/winkhooks"),
        ("DATABASE_URL", "winkhooks.sqlite3"),
        ("REDIS_URL", "localhost:6379"),
        ("VAR_DIR", "/dev/null/var"),
        ("TIME_ZONE", "Europe/Mikkeli"),
        ("WEBHOOK_SECRET_KEYS", ""),
        ("WEBHOOK_SECRET_KEYS", "short"),
        ("WEBHOOK_SECRET_KEYS", f"{KEY},"),
        ("WEBHOOK_ALLOWED_NETWORKS", "10.0.0.1/8"),
        ("WEBHOOK_ALLOWED_PORTS", "https"),
        ("WEBHOOK_ALLOWED_PORTS", "443,0"),
        ("WEBHOOK_ALLOWED_PORTS", "443,9000-8000"),
        ("WEBHOOK_ALLOWED_PORTS", "1024-65536"),
        ("WEBHOOK_REQUIRE_HTTPS", "https"),
        ("WEBHOOK_PROXY", "proxy.example.com:3128"),
        ("WEBHOOK_PROXY", "http://proxy.example.com"),
        ("WEBHOOK_PROXY", "http://proxy.example.com:0"),
        ("WEBHOOK_PROXY", "http://:3128"),
        ("WEBHOOK_PROXY", "http://[::1:3128"),
        ("WEBHOOK_PROXY", "http://proxy.example.com:3128/path"),
        ("WEBHOOK_PROXY", "https://proxy.example.com:3128"),
        ("WEBHOOK_PROXY", "socks5h://proxy.example.com:1080"),
        ("WEBHOOK_TIMEOUT_SECONDS", "0"),
        ("WEBHOOK_TIMEOUT_SECONDS", "10s"),
        ("WEBHOOK_LEASE_SECONDS", "-1"),
        ("WEBHOOK_LEASE_SECONDS", "inf"),
        ("WEBHOOK_IN_FLIGHT", "0.5"),
        ("WEBHOOK_IN_FLIGHT_PER_WEBHOOK", "ten"),
        ("WEBHOOK_KEEP_DAYS", "nan"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_JSON", "json"),
    ],
)
def test_a_wrong_value_stops_the_start_with_a_sentence(name: str, value: str) -> None:
    variables = {name: value} if name != "DEBUG" else {}

    loaded = load_settings(debug=value if name == "DEBUG" else "False", **variables)

    assert loaded.returncode == 1
    last_line = loaded.stderr.strip().splitlines()[-1]
    assert last_line.startswith("django.core.exceptions.ImproperlyConfigured: ")
    assert re.search(rf"\b{name}\b", last_line)
    assert last_line.endswith(".")


def test_the_password_of_a_proxy_is_not_repeated() -> None:
    loaded = load_settings(WEBHOOK_PROXY="http://portal:a-password@proxy.example.com")
    assert "WEBHOOK_PROXY must be http://" in loaded.stderr
    assert "a-password" not in loaded.stderr


def test_a_wrong_kept_time_of_connections_stops_the_start() -> None:
    loaded = load_settings(DATABASE_URL="postgresql://localhost/winkhooks", CONN_MAX_AGE="long")

    assert "CONN_MAX_AGE must be a number, not 'long'." in loaded.stderr


def test_an_empty_value_means_the_default() -> None:
    names = variables_of_the_settings() - {"DEBUG", "SECRET_KEY", "WEBHOOK_SECRET_KEYS", "DATABASE_URL"}

    for database_url in ("", "postgresql://localhost/winkhooks"):
        loaded = load_settings(DATABASE_URL=database_url, **dict.fromkeys(names, ""))

        assert (loaded.stderr, loaded.returncode) == ("", 0)


# Those of the containers


def compose_variables(service: str) -> dict[str, str]:
    environment: dict[str, str] = yaml.safe_load((BASE_DIR / "compose.yaml").read_text())["services"][service][
        "environment"
    ]
    return environment


@pytest.mark.parametrize("service", ["migrate", "web", "worker", "beat"])
def test_the_settings_reach_the_containers(service: str) -> None:
    variables = compose_variables(service)
    passed_on = {name for name, value in variables.items() if re.match(r"\$\{" + name + r"(:-|:\?.+)\}$", value)}
    made_for_them = {"DATABASE_URL", "REDIS_URL", "DEBUG", "STATIC_ROOT", "VAR_DIR"}

    assert passed_on == variables_of_the_settings() - made_for_them


def setting(expression: str, **variables: str) -> str:
    loaded = load_settings(f"from winkhooks.settings import *; print({expression})", **variables)
    assert loaded.stderr == ""
    return loaded.stdout.strip()


@pytest.mark.parametrize(
    "value, expected",
    [
        ("smtp://mail.example.com", "mail.example.com 25 None None False False"),
        ("smtp+tls://user:pass%40word@mail.example.com", "mail.example.com 587 user pass@word True False"),
        ("smtp+ssl://mail.example.com:4465", "mail.example.com 4465 None None False True"),
    ],
)
def test_the_mail_server_is_read_from_its_url(value: str, expected: str) -> None:
    names = ["EMAIL_HOST", "EMAIL_PORT", "EMAIL_HOST_USER", "EMAIL_HOST_PASSWORD"]
    switches = [f"globals().get('{name}', False)" for name in ("EMAIL_USE_TLS", "EMAIL_USE_SSL")]
    assert setting(", ".join(names + switches), EMAIL_URL=value) == expected
    assert setting("EMAIL_BACKEND, EMAIL_TIMEOUT", EMAIL_URL=value).endswith("smtp.EmailBackend 10")


def test_without_a_mail_server_emails_are_written_to_the_output() -> None:
    assert setting("EMAIL_BACKEND") == "winkhooks.emails.ConsoleBackend"


def test_the_heartbeat_beats_only_where_somebody_listens() -> None:
    assert setting("'heartbeat' in CELERY_BEAT_SCHEDULE") == "False"
    assert setting("'heartbeat' in CELERY_BEAT_SCHEDULE", HEARTBEAT_URL="https://monitor.example.com/ping") == "True"


def test_what_processes_share_is_in_the_folder_that_the_settings_name(tmp_path: Path) -> None:
    folder = tmp_path / "lib" / "winkhooks"

    shown = setting(
        "DATABASES['default']['NAME'], REDIS_URL, STATIC_ROOT, CELERY_BEAT_SCHEDULE_FILENAME", VAR_DIR=str(folder)
    )

    assert shown.count(f"{folder}/") == 4
    assert folder.is_dir()


def test_a_folder_that_begins_nowhere_begins_beside_manage_py() -> None:
    assert setting("VAR_DIR", VAR_DIR="var/../var") == f"{BASE_DIR}/var/../var"


@pytest.mark.parametrize("lease_seconds", ["60", "600"])
def test_the_longest_task_outlasts_the_longest_drain(lease_seconds: str) -> None:
    limit = float(setting("CELERY_TASK_TIME_LIMIT", WEBHOOK_LEASE_SECONDS=lease_seconds))

    assert limit > LONGEST_SECONDS + float(lease_seconds)


# The demo's


def make_env() -> str:
    spec = importlib.util.spec_from_file_location("make_env", BASE_DIR / "scripts/make_env.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.make_env(env_example()))


def values_of(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([A-Z_]+)=(.*)$", text, flags=re.MULTILINE))


def test_the_demo_gets_keys_of_its_own() -> None:
    first, second = values_of(make_env()), values_of(make_env())

    for name in ("SECRET_KEY", "WEBHOOK_SECRET_KEYS", "DEMO_PASSWORD", "DEMO_SECRET"):
        assert first[name] != second[name]


def test_the_demo_may_call_this_machine_and_no_other() -> None:
    values = values_of(make_env())

    assert values["WEBHOOK_ALLOWED_NETWORKS"] == "127.0.0.0/8,::1/128"
    assert values["DEBUG"] == "False"
    assert "DATABASE_URL" not in values
    assert "REDIS_URL" not in values


def test_the_demo_documents_every_variable() -> None:
    assert set(variables_of(make_env())) == variables_of_the_settings() | {"DEMO_PASSWORD", "DEMO_SECRET"}


def test_the_demos_settings_are_accepted() -> None:
    loaded = load_settings(**values_of(make_env()))

    assert (loaded.stderr, loaded.returncode) == ("", 0)
