"""Make inputs wrong: values, tables, texts and files, each from a random generator of its own."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

Loc = tuple[Any, ...]


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


#: What nobody means, of every type that TOML and JSON have.
ODD: tuple[Any, ...] = (
    *(-1, 0, 1, 2, 3.5, 10**6, 10**9, 10**12, -(10**30), 10**30, 1e308, float("nan"), float("inf")),
    *(True, False, "", " ", "x", "x" * 5000, "a\0b", "../../x", "~nouser/x", "日本 é", "[UNK]", "[PAD]"),
    *([], [1], ["a", 1], [[]], [True], {}, {"use": "nope"}, {"a": {"b": 1}}, {"use": 3}, deep(100)),
)


def places(value: Any, loc: Loc = ()) -> Iterator[Loc]:
    """Yield the key path of everything in nested tables and lists."""
    below = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in below:
        yield (*loc, key)
        yield from places(one, (*loc, key))


def holder(table: Any, loc: Loc) -> Any:
    """Return what holds the value at a place."""
    for key in loc[:-1]:
        table = table[key]
    return table


def mutated(random: Random, table: Any) -> tuple[Any, str]:
    """Return a copy of nested tables with one thing wrong, and what was done."""
    table = copy.deepcopy(table)
    loc = random.choice(list(places(table)))
    within, key = holder(table, loc), loc[-1]
    path = ".".join(map(str, loc))
    what = random.choice(("odd", "odd", "odd", "odd", "drop", "rename", "wrap", "swap", "nothing"))
    if what == "odd":
        within[key] = random.choice(ODD)
        return table, f"{path} = {str(within[key])[:40]!r}"
    if what == "drop":
        del within[key]
    elif what == "rename" and isinstance(within, dict):
        within[f"{key}x"] = within.pop(key)
    elif what == "wrap":
        within[key] = [within[key]]
    elif what == "nothing":
        within[key] = None
    else:
        other = random.choice(list(places(table)))
        within[key] = copy.deepcopy(holder(table, other)[other[-1]])
        what = f"value of {'.'.join(map(str, other))}"
    return table, f"{path}: {what}"


def _spoilt(random: Random, text: bytes) -> bytes:
    at = random.randrange(len(text) + 1)
    return text[:at] + random.randbytes(random.randint(1, 8)) + text[at:]


def _flipped(random: Random, text: bytes) -> bytes:
    at = random.randrange(max(len(text), 1))
    return text[:at] + bytes([random.randrange(256)]) + text[at + 1 :]


def _line(random: Random, text: bytes) -> bytes:
    lines = text.split(b"\n")
    at = random.randrange(len(lines))
    changed = random.choice((b"", b"{", b"[]", b"null", b'{"a": 1}', b"\xff\xfe", b"x" * 5000, lines[at] * 2))
    return b"\n".join([*lines[:at], changed, *lines[at + 1 :]])


#: Ways to spoil the bytes of a file.
SPOIL: dict[str, Callable[[Random, bytes], bytes]] = {
    "cut": lambda random, text: text[: random.randrange(len(text) + 1)],
    "bytes put in": _spoilt,
    "a byte changed": _flipped,
    "a line changed": _line,
    "empty": lambda random, text: b"",
    "UTF-16": lambda random, text: text.decode(errors="replace").encode("utf-16"),
    "latin-1": lambda random, text: text.replace(b"e", b"\xe9"),
    "a byte order mark": lambda random, text: b"\xef\xbb\xbf" + text,
    "NUL bytes": lambda random, text: text.replace(b" ", b"\0", 1),
    "carriage returns": lambda random, text: text.replace(b"\n", b"\r"),
    "twice": lambda random, text: text + text,
    "nested": lambda random, text: b"[" * 5000 + text,
    "long numbers": lambda random, text: text.replace(b"1", b"1" * 5000),
    "HTML": lambda random, text: b"<!doctype html><html><body>404</body></html>",
    "Git LFS": lambda random, text: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
}


def spoil_file(random: Random, path: Path) -> str:
    """Make a file wrong in one way: its bytes, its JSON, or what lies in its place; return what was done."""
    content = path.read_bytes()
    what = random.choice((*SPOIL, "JSON", "JSON", "JSON", "a folder", "gone", "a link to itself"))
    if what == "JSON":
        try:
            lines = content.decode().split("\n") if path.suffix == ".jsonl" else [content.decode()]
            at = random.randrange(len(lines))
            table, what = mutated(random, json.loads(lines[at]))
            lines[at] = json.dumps(table)
            path.write_text("\n".join(lines))
        except (ValueError, IndexError):  # no JSON, or a scalar
            path.write_bytes(_flipped(random, content))
            what = "a byte changed"
    elif what in SPOIL:
        path.write_bytes(SPOIL[what](random, content))
    else:
        path.unlink()
        if what == "a folder":
            path.mkdir()
        elif what == "a link to itself":
            path.symlink_to(path.name)
    return f"{path.name}: {what}"


def copy_of(base: Path, scratch: Path) -> None:
    shutil.copytree(base, scratch, symlinks=True)
