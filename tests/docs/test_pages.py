"""README and docs: links lead somewhere, and commands and their options exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from dlmone.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "examples").glob("*/README.md"))]
PAGES += sorted((ROOT / "docs").glob("*.md"))
#: A command of dlmone's with all that follows it in its line or its code span.
COMMAND = re.compile(r"\bdlmone ([a-z]+)\b([^`\n]*)")
CONTEXT = click.Context(main)
COMMANDS = main.list_commands(CONTEXT)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path, text: str) -> Iterator[str]:
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        place = page.parent / path if path else page
        if not place.exists() or (anchor and anchor not in anchors(place)):
            yield target


def missing_paths(text: str) -> Iterator[str]:
    """Yield the files of this repository that code spans name and that are not there."""
    for path in re.findall(r"`((?:\w+/)+\w+\.(?:py|toml|md|json))\b", text):
        if (ROOT / path.partition("/")[0]).is_dir() and not (ROOT / path).exists():
            yield path


def wrong_commands(text: str) -> Iterator[str]:
    """Yield the commands in code that do not exist, or that have no such option."""
    code = re.findall(r"^```.*?^```|^ {4}.+?$|`[^`\n]+`", text, re.MULTILINE | re.DOTALL)
    for name, rest in COMMAND.findall("\n".join(code).replace("\\\n", " ")):
        command = main.get_command(CONTEXT, name) if name in COMMANDS else None
        if isinstance(command, click.Group) and rest.split()[:1]:
            command = command.get_command(CONTEXT, rest.split()[0]) or command
        known = {option for parameter in command.params for option in parameter.opts} if command else set()
        if command is None or set(re.findall(r"(?<!\S)--[a-z][a-z-]*", rest.partition("#")[0])) - known:
            yield f"dlmone {name}{rest}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_commands(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert list(broken_links(page, text)) == []
    assert list(wrong_commands(text)) == []
    assert list(missing_paths(text)) == []


def test_readme_lists_every_page() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}  # the site's own front page
    assert [name for name in sorted(pages) if f"(docs/{name})" not in readme] == []


@pytest.mark.parametrize("target", ["nowhere.md", "docs/runs.md#resume-is-inexact", "#no-such-heading"])
def test_a_broken_link_is_found(target: str) -> None:
    assert list(broken_links(ROOT / "README.md", f"[text]({target})")) == [target]


def test_a_file_that_is_not_there_is_found() -> None:
    assert list(missing_paths("as `core/step/losses.py` and `core/gone.py::loss` say, `your/own.py`")) == [
        "core/gone.py"
    ]


@pytest.mark.parametrize("command", ["dlmone distil RECIPE", "dlmone run RECIPE --bogus 1"])
def test_a_wrong_command_is_found(command: str) -> None:
    assert list(wrong_commands(f"```bash\n{command}\n```")) == [command]
    assert list(wrong_commands(f"as `{command}` does")) == [command]
