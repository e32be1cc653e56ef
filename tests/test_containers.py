"""What the container image and compose.yaml promise: no rights that are not needed, nothing to write to."""

import ast
import json
import re
import shlex
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery.bin.celery import celery
from click import Context
from django.core.management import get_commands, load_command_class
from gunicorn.config import Config  # type: ignore[import-untyped]

from tests.test_settings import load_settings, variables_of_the_settings

BASE_DIR = Path(__file__).resolve().parent.parent
DOCKERFILE = (BASE_DIR / "Dockerfile").read_text()
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((BASE_DIR / "compose.yaml").read_text())["services"]
PORTAL = ["migrate", "web", "worker", "beat"]


def instructions(name: str) -> list[str]:
    return re.findall(rf"^{name} (.+)$", DOCKERFILE, re.MULTILINE)


def test_the_image_runs_as_a_user_without_rights() -> None:
    last_stage = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    [user] = re.findall(r"^USER (.+)$", last_stage, re.MULTILINE)
    assert user == "10001"
    assert f"--uid {user} " in last_stage
    assert last_stage.index("\nUSER ") < last_stage.index("\nCMD ")


def test_what_is_installed_has_the_recorded_hashes() -> None:
    installs = [line for line in DOCKERFILE.splitlines() if "pip install" in line]
    assert installs
    assert all("--require-hashes" in line for line in installs)


def test_images_have_versions() -> None:
    images = [line.split()[0] for line in instructions("FROM")]
    images += [service["image"] for service in SERVICES.values() if "build" not in service]
    assert len(images) == 4
    for image in images:
        assert re.search(r":\d[\w.-]*$", image), image


@pytest.mark.parametrize("name", [*PORTAL, "valkey"])
def test_it_can_write_to_memory_alone_and_gain_no_rights(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["tmpfs"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "volumes"} & service.keys()


@pytest.mark.parametrize("name", PORTAL)
def test_the_user_of_the_image_can_write_to_its_folder(name: str) -> None:
    [user] = instructions("USER")
    assert f"/app/var:uid={user},mode=0700" in SERVICES[name]["tmpfs"]


def test_the_database_gains_no_rights() -> None:
    # It begins as root, to make its folder its own.
    assert SERVICES["postgres"]["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", ["web", "worker", "postgres", "valkey"])
def test_its_health_is_asked(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


def test_nothing_but_the_web_can_be_reached_and_that_from_this_machine_alone() -> None:
    assert {name: service["ports"] for name, service in SERVICES.items() if "ports" in service} == {
        "web": ["127.0.0.1:8000:8000"]
    }


# What they run


def command_of(name: str) -> list[str]:
    """Return what the container runs: its own command, or that of the image."""
    if "command" in SERVICES[name]:
        return shlex.split(SERVICES[name]["command"])
    [command] = re.findall(r"^CMD (\[.+?\])$", DOCKERFILE, re.MULTILINE | re.DOTALL)
    return list(json.loads(command.replace("\\\n", "")))


def run_by_the_portal() -> list[tuple[str, ...]]:
    checks = [SERVICES[name]["healthcheck"]["test"][1:] for name in PORTAL if "healthcheck" in SERVICES[name]]
    return [tuple(command) for command in [*map(command_of, PORTAL), *checks]]


@pytest.mark.parametrize("command", run_by_the_portal(), ids=" ".join)
def test_what_they_run_is_there_and_takes_these_options(command: tuple[str, ...]) -> None:
    program, *arguments = command
    match program:
        case "python" if arguments[0] == "-c":
            assert len(arguments) == 2
            ast.parse(arguments[1])
        case "python":
            script, name, *options = arguments
            assert (BASE_DIR / script).is_file()
            load_command_class(get_commands()[name], name).create_parser(script, name).parse_args(options)
        case "celery":
            assert arguments[:2] == ["--app", "winkhooks"]
            assert find_spec("winkhooks.celery")
            subcommand = celery.commands[arguments[2]]
            subcommand.make_parser(Context(subcommand)).parse_args(arguments[3:])
        case "gunicorn":
            [module] = Config().parser().parse_args(arguments).args
            assert find_spec(module)
        case _:
            pytest.fail(f"What is {program}?")
    assert program == "python" or program_is_installed(program)


def program_is_installed(program: str) -> bool:
    """Tell whether the image has the program: of a package that it installs."""
    installed = re.findall(r"^([\w.-]+)(?:\[.*\])?==", (BASE_DIR / "requirements/base.txt").read_text(), re.MULTILINE)
    [entry] = entry_points(group="console_scripts", name=program)
    return entry.dist is not None and entry.dist.name.lower() in installed


@pytest.mark.parametrize("name", PORTAL)
def test_they_set_no_variable_that_nobody_reads(name: str) -> None:
    read_by_gunicorn = {"FORWARDED_ALLOW_IPS"}
    assert SERVICES[name]["environment"].keys() <= variables_of_the_settings() | read_by_gunicorn


def test_what_the_portal_writes_goes_to_its_folder_in_memory() -> None:
    loaded = load_settings(
        "from winkhooks.settings import *; print(*(Path(path).relative_to(BASE_DIR) for path in"
        " (VAR_DIR, CELERY_BEAT_SCHEDULE_FILENAME)))"
    )
    # In the image, BASE_DIR is /app.
    assert (loaded.stderr, loaded.stdout) == ("", "var var/celerybeat-schedule\n")
    assert "WORKDIR /app\n" in DOCKERFILE
    assert all("VAR_DIR" not in SERVICES[name]["environment"] for name in PORTAL)
