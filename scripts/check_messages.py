"""Check that the Finnish messages are those of the code, all translated; with --update, fetch them from it first."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.pofile import read_po

BASE_DIR = Path(__file__).resolve().parent.parent
CATALOGUE = Path("locale/fi/LC_MESSAGES/django.po")
WITHOUT_MESSAGES = [".*", "docs", "requirements", "scripts", "static", "tests", "var"]


def make_messages(directory: Path) -> None:
    command = [sys.executable, "manage.py", "makemessages", "--verbosity", "0", "--locale", "fi"]
    # Stable from one machine and one change to the next: no line numbers, no wrapping, nothing that is gone.
    command += ["--add-location", "file", "--no-wrap", "--no-obsolete"]
    command += [f"--ignore={pattern}" for pattern in WITHOUT_MESSAGES]
    environment = os.environ | {"DEBUG": "True", "ENV_FILE": os.devnull}
    subprocess.run(command, cwd=directory, env=environment, check=True)


def messages_of_the_code() -> Catalog:
    with tempfile.TemporaryDirectory() as directory:
        copy = Path(directory) / "copy"
        shutil.copytree(BASE_DIR, copy, ignore=shutil.ignore_patterns(*WITHOUT_MESSAGES, "__pycache__"))
        make_messages(copy)
        return read(copy / CATALOGUE)


def read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale="fi")


def problems(present: Catalog, wanted: Catalog) -> Iterator[str]:
    names = {key(message) for message in present if message.id}
    wanted_names = {key(message) for message in wanted if message.id}
    for _, text in sorted(wanted_names - names):
        yield f"missing (run make messages): {text}"
    for _, text in sorted(names - wanted_names):
        yield f"no longer in the code (run make messages): {text}"
    for message in present:
        if message.id:
            yield from (f"{complaint}: {key(message)[1]}" for complaint in complaints(message, present))


def complaints(message: Message, catalogue: Catalog) -> Iterator[str]:
    strings = message.string if isinstance(message.string, tuple) else (message.string,)
    if not all(strings):
        yield "not translated"
    elif message.fuzzy:
        yield "fuzzy"
    else:
        yield from (str(error) for error in message.check(catalogue))


def key(message: Message) -> tuple[str, str]:
    text = message.id if isinstance(message.id, str) else message.id[0]
    return message.context or "", text


def main() -> None:
    if not shutil.which("xgettext"):
        raise SystemExit("The messages need xgettext: install gettext (scripts/install-system-packages does it).")
    if not (BASE_DIR / CATALOGUE).is_file():
        raise SystemExit(f"{CATALOGUE} is missing.")
    if "--update" in sys.argv[1:]:
        make_messages(BASE_DIR)
    found = list(problems(read(BASE_DIR / CATALOGUE), messages_of_the_code()))
    if found:
        raise SystemExit("\n".join([f"{CATALOGUE}:", *found]))


if __name__ == "__main__":
    main()
