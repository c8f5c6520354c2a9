"""Find recipe files by path or shipped name, and read them."""

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePath
from stat import S_ISDIR, S_ISREG
from typing import Any

from dlmone.core.errors import InputError

from ..explain import nearest, nearest_path, shortened
from ..fields.names import folder_name
from .layers import Layer
from .toml import parse_toml

_SHIPPED = "dlmone.recipes"
#: Its folder of profiles, which several recipes can share and which are no recipes.
_PROFILES = "profiles/"
#: Keys of a recipe file that control how it is resolved; they are not part of the recipe.
FILE_KEYS = ("extends", "profile", "profiles", "grid")


@dataclass(frozen=True, slots=True)
class RecipeFile:
    """A recipe file: its own settings, its profiles, its grid of rows, and the file it extends.

    A profile is a table, or the name of the file that holds it: beside the recipe, or a shipped one.
    """

    label: str
    folder: Path | None
    base: dict[str, Any]
    profiles: dict[str, dict[str, Any] | str]
    default_profile: str | None
    extended: "RecipeFile | None"
    grid: dict[str, Any]

    def layers(self, profile: str | None) -> list[Layer]:
        """Return this file's layers, the lowest first, with ``profile`` on top.

        A profile of the extended file lies under this file's profile of the same name.

        Raises:
            InputError: neither this file nor the extended one has the profile, or its file cannot be used.
        """
        family = [self.extended, self] if self.extended else [self]
        layers = [Layer(file.label, file.base) for file in family]
        if profile is None:
            return layers
        known = [name for file in family for name in file.profiles]
        if profile not in known:
            hint = nearest(profile, known) or "; it has no profiles"
            raise InputError(f"{self.label}: there is no profile {profile!r}{hint}")
        return layers + [file._profile(profile) for file in family if profile in file.profiles]

    def _profile(self, name: str) -> Layer:
        given, where = self.profiles[name], f"{self.label}: profiles.{name}"
        if isinstance(given, dict):
            return Layer(f"{self.label} [profiles.{name}]", given)
        try:
            label, file = _find(given, self.folder)
        except InputError:
            shipped = _shipped_files()
            hint = nearest_path(str(self.folder / given), shipped) if self.folder else nearest(given, shipped)
            raise InputError(f"{where}: there is no file {shortened(given)!r}{hint}") from None
        table = _toml(label, file)
        for key in FILE_KEYS:
            if key in table:
                raise InputError(f"{where}: {label} has the key {key!r}, which only a recipe can have")
        return Layer(label, table)


def shipped_recipes() -> dict[str, str]:
    """Return the names of the recipes that come with dlmone, with their descriptions.

    Those of a sub-folder have its name before theirs, as in ``ablations/sid_fixed``.
    """
    return {name: str(read_recipe(name).base.get("description", "")) for name in _recipes(_shipped_files())}


def read_recipe(name: str | Path) -> RecipeFile:
    """Read the recipe at a path, or the shipped one of that name, and the file it extends.

    Raises:
        InputError: there is no such file, it is not TOML, or one of `FILE_KEYS` is wrong.
    """
    label, file = _find(str(name), Path())
    return _read(label, file, extendable=True)


def recipe_text(name: str | Path) -> str:
    """Return the text of the recipe at a path, or of the shipped one of that name.

    Raises:
        InputError: there is no such file, or it is no text.
    """
    return read_text(*_find(str(name), Path()))


def _find(name: str, folder: Path | None) -> tuple[str, Traversable]:
    """Find a file in ``folder``, or the shipped one of that name: that alone if there is no folder."""
    path = (folder or Path()) / name
    lost = None
    try:
        lost = os.readlink(path) if name and folder and path.is_symlink() else None
        kind = path.stat().st_mode if name and folder else 0
    except (OSError, ValueError):  # not there, or no name for a file
        kind = 0
    if S_ISDIR(kind) and str(PurePath(name)) not in _shipped_files():
        inside = " (the recipe of this run is recipe.toml in it)" if (path / "recipe.toml").is_file() else ""
        raise InputError(f"{name}: a folder, where a recipe's file or name was expected{inside}")
    if S_ISREG(kind):
        return str(path), path
    if kind and not S_ISDIR(kind):
        raise InputError(f"{name}: not a regular file, which a recipe is read from")
    if lost is not None:
        raise InputError(f"{name}: a link to {lost}, which is not there")
    shipped, pure = _shipped_files(), PurePath(name)
    short = pure.with_suffix("") if pure.suffix == ".toml" else pure
    short = short.relative_to("recipes") if short.is_relative_to("recipes") else short
    if str(short) in shipped:
        return f"recipes/{short}.toml", shipped[str(short)]
    hint = nearest_path(name) if folder == Path() else ""
    hint = hint or nearest(str(short), _recipes(shipped)).replace("known here", "the shipped recipes are")
    raise InputError(f"{shortened(name) or 'an empty name'}: there is no such recipe{hint}")


def _recipes(names: Iterable[str]) -> list[str]:
    """Return the names of files, sorted, without those of profiles."""
    return sorted(name for name in names if not name.startswith(_PROFILES))


def _shipped_files() -> dict[str, Traversable]:
    found: dict[str, Traversable] = {}
    folders = [("", files(_SHIPPED))]
    for prefix, folder in folders:
        for file in folder.iterdir():
            if file.name.endswith(".toml"):
                found[prefix + file.name.removesuffix(".toml")] = file
            elif file.is_dir() and not file.name.startswith("_"):
                folders.append((f"{prefix}{file.name}/", file))
    return found


def _read(label: str, file: Traversable, extendable: bool) -> RecipeFile:
    table = _toml(label, file)
    if PurePath(label).parent.name == "profiles" and not {"name", "extends"} & table.keys():
        like = "dlmone run qqp --profile quick"
        raise InputError(f"{label}: a profile, which is run by a recipe that names it ({like})")
    extends, profile, profiles, grid = (table.pop(key, None) for key in FILE_KEYS)
    for key, value in (("extends", extends), ("profile", profile)):
        if not isinstance(value, str | None):
            raise InputError(f"{label}: {key}: expected a string, got {value!r}")
    profiles = {} if profiles is None else profiles
    if not (isinstance(profiles, dict) and all(map(_is_profile, profiles.values()))):
        raise InputError(
            f"{label}: profiles: expected tables, as in [profiles.quick], or names of .toml files"
        )
    for name in profiles:
        try:
            folder_name(name)
        except ValueError as error:
            raise InputError(f"{label}: profiles: {error}, got {shortened(json.dumps(name))}") from None
    folder = file.parent if isinstance(file, Path) else None  # one in an archive: no file lies beside it
    grid = {} if grid is None else grid
    if not isinstance(grid, dict):
        raise InputError(f"{label}: grid: expected a table, as in [grid]")
    extended = None
    if extends is not None:
        if not extendable:
            raise InputError(f"{label}: extends {extends!r} and is extended itself: one level is the limit")
        try:
            found = _find(extends, folder)
        except InputError as error:
            raise InputError(f"{label}: extends: {error}") from None
        extended = _read(*found, extendable=False)
        profile = extended.default_profile if profile is None else profile
    return RecipeFile(label, folder, table, profiles, profile, extended, grid)


def _is_profile(given: object) -> bool:
    return isinstance(given, dict) or (isinstance(given, str) and given.endswith(".toml"))


def _toml(label: str, file: Traversable) -> dict[str, Any]:
    text = read_text(label, file)
    try:
        return parse_toml(text)
    except ValueError as error:
        raise InputError(f"{label}: not TOML: {error}") from error


def read_text(label: str, file: Traversable) -> str:
    """Return the text of a file that messages call ``label``.

    Raises:
        InputError: it cannot be read, or is not UTF-8.
    """
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"{label}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{label}: cannot be read: it is not UTF-8 at byte {error.start}") from error
