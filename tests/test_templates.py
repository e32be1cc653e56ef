"""What holds for every template and every file that a browser loads."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django import forms
from django.contrib.staticfiles import finders
from django.forms.renderers import DjangoTemplates
from django.templatetags.static import static
from django.test import Client

PROJECT = Path(__file__).resolve().parent.parent
TEMPLATES = sorted((PROJECT / "templates").rglob("*.html"))
INLINE = {
    "a style attribute": re.compile(r"<[^>]*\sstyle\s*=", re.IGNORECASE),
    "a style element": re.compile(r"<style\b", re.IGNORECASE),
    "an event handler": re.compile(r"<[^>]*\son[a-z]+\s*=", re.IGNORECASE),
    "a script without an address": re.compile(r"<script\b(?![^>]*\ssrc=)", re.IGNORECASE),
    "an address that is a script": re.compile(r"javascript:", re.IGNORECASE),
}


@pytest.mark.parametrize("what", INLINE)
@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(PROJECT)))
def test_nothing_is_inline(template: Path, what: str) -> None:
    assert not INLINE[what].search(template.read_text()), f"{template} has {what}"


@pytest.mark.parametrize(
    "what, markup",
    [
        ("a style attribute", '<p class="a" style="color: red">'),
        ("a style element", "<style>p {}</style>"),
        ("an event handler", '<a href="/" onclick="go()">'),
        ("a script without an address", '<script type="module">go()</script>'),
        ("an address that is a script", '<a href="javascript:go()">'),
    ],
)
def test_what_is_inline_is_noticed(what: str, markup: str) -> None:
    assert INLINE[what].search(markup)


def test_the_icon_that_browsers_ask_for_is_there(client: Client) -> None:
    response = client.get("/favicon.ico")
    assert response.status_code == 302
    assert response["Location"] == static("favicon.svg")
    assert finders.find("favicon.svg")


def vendor_check(project: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([project / "scripts/vendor", "--check"], capture_output=True, text=True, timeout=30)


def test_vendored_files_are_as_they_came() -> None:
    assert vendor_check(PROJECT).returncode == 0


def test_vendored_files_have_their_licences_beside_them() -> None:
    packages = [path for path in (PROJECT / "static/vendor").iterdir() if path.is_dir()]
    assert packages
    for package in packages:
        assert (package / "LICENSE").read_text().strip(), package.name


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    for folder in ("scripts", "static/vendor"):
        shutil.copytree(PROJECT / folder, tmp_path / folder)
    return tmp_path


@pytest.mark.parametrize("name", ["new.js", "bootstrap/new.js", ".new.js"])
def test_a_vendored_file_that_nobody_listed_is_noticed(copy: Path, name: str) -> None:
    (copy / "static/vendor" / name).touch()
    checked = vendor_check(copy)
    assert checked.returncode == 1
    assert "has files that SHA256SUMS does not name" in checked.stderr


def test_a_changed_vendored_file_is_noticed(copy: Path) -> None:
    with (copy / "static/vendor/bootstrap/bootstrap.min.css").open("a") as file:
        file.write("/* */")
    checked = vendor_check(copy)
    assert checked.returncode == 1
    assert "bootstrap.min.css: FAILED" in checked.stdout


def test_a_select_is_as_that_of_django() -> None:
    class Choice(forms.Form):
        plain = forms.ChoiceField(
            choices=[("", "All <b>"), ("Group", [("1", "x"), ("2", "y&")]), (3, "z")], initial="2"
        )
        many = forms.MultipleChoiceField(choices=[("1", "x"), ("2", "y")], initial=["1", "2"])
        unknown = forms.NullBooleanField()

    ours, theirs = Choice(), Choice(renderer=DjangoTemplates())
    for name in ours.fields:
        assert re.sub(r">\s+<", "><", str(ours[name])) == re.sub(r">\s+<", "><", str(theirs[name])).strip()
    assert "\n" not in str(ours["plain"])
