"""What the container image and compose.yaml promise: no rights that are not needed, nothing to write to."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

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
