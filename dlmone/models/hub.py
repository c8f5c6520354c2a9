"""Models of the Hugging Face hub: ``hub:OWNER/NAME[@REVISION]`` names one wherever a model is named.

Only safetensors, JSON and the card are ever fetched or sent, so nothing that is loaded can run code. Tokens
are huggingface-hub's own affair (``hf auth login`` or ``HF_TOKEN``): dlmone neither reads nor prints one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlmone.core import InputError

if TYPE_CHECKING:
    from types import ModuleType

PREFIX = "hub:"
FILES = ("*.json", "*.safetensors", "README.md")
_ADDRESS = re.compile(r"hub:(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[^\s@]+))?")


@dataclass(frozen=True, slots=True)
class Address:
    """A model of the hub, at a revision: a branch, a tag or a commit; None is its main branch."""

    repo: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{PREFIX}{self.repo}" + (f"@{self.revision}" if self.revision else "")


def parse(text: str) -> Address:
    """Read ``hub:OWNER/NAME[@REVISION]``; the prefix may be left out.

    Raises:
        InputError: the text is no such address.
    """
    found = _ADDRESS.fullmatch(text if text.startswith(PREFIX) else PREFIX + text)
    if found is None:
        raise InputError(f"{text}: expected hub:OWNER/NAME or hub:OWNER/NAME@REVISION")
    return Address(found["repo"], found["revision"])


def fetch(address: Address) -> Path:
    """Return a model's folder in the hub's cache, fetched first if it is not there.

    Without a connection, or with ``HF_HUB_OFFLINE=1``, what the cache has is used.

    Raises:
        InputError: huggingface-hub is not installed, or the hub does not give the model.
    """
    library = _library()
    with _explained(address):
        folder = library.snapshot_download(
            address.repo, revision=address.revision, allow_patterns=list(FILES)
        )
    return Path(folder)


def pinned(folder: Path) -> str | None:
    """Return the address, with its commit, of a folder in the hub's cache; None for any other folder."""
    found = re.search(r"/models--(.+?)--(.+)/snapshots/([0-9a-f]{40})/?$", folder.as_posix())
    if found is None:
        return None
    return str(Address(f"{found[1]}/{found[2]}", found[3]))


def files_of(folder: Path) -> list[Path]:
    """Return the files of a folder that a model of the hub may have, in order."""
    found = (path for path in sorted(folder.iterdir()) if path.is_file())
    return [path for path in found if any(path.match(pattern) for pattern in FILES)]


def upload(folder: Path, address: Address, card: str, *, private: bool, message: str) -> str:
    """Send a model folder to the hub in one commit, making the repository if there is none.

    Args:
        folder: a model folder that loads.
        address: its revision is the branch that the commit goes to.
        card: the text of its README.md there.
        private: whether a repository that is made can be seen by its owner only.
        message: the commit's first line.

    Returns:
        the address of the model with its commit.

    Raises:
        InputError: huggingface-hub is not installed, or the hub does not take the model.
    """
    library = _library()
    files: dict[str, Path | bytes] = {path.name: path for path in files_of(folder)}
    files["README.md"] = card.encode()
    operations = [library.CommitOperationAdd(name, content) for name, content in files.items()]
    api = library.HfApi()
    with _explained(address):
        api.create_repo(address.repo, private=private, exist_ok=True)
        if address.revision:
            api.create_branch(address.repo, branch=address.revision, exist_ok=True)
        commit = api.create_commit(
            address.repo, operations, commit_message=message, revision=address.revision
        )
    return str(Address(address.repo, commit.oid))


def _library() -> ModuleType:
    try:
        import huggingface_hub
    except ImportError:
        raise InputError("models of the hub take dlmone[hub]: pip install 'dlmone[hub]'") from None
    return huggingface_hub


_LOGIN = "hf auth login, or HF_TOKEN, gives a token"
#: What huggingface-hub's exceptions mean, by the name of their class.
_REASONS = {
    "GatedRepoError": "the hub gives it only to those whom its owner has let in",
    "RepositoryNotFoundError": f"the hub has no such model, or hides it from you ({_LOGIN})",
    "RevisionNotFoundError": "the model has no such revision",
    "LocalTokenNotFoundError": f"nobody is logged in ({_LOGIN})",
    "HFValidationError": "the hub can have no such name",
    "OfflineModeIsEnabled": "HF_HUB_OFFLINE is set: nothing is sent, and only the hub's cache is read",
    "LocalEntryNotFoundError": "the hub cannot be reached, and its cache does not hold this",
}


@contextmanager
def _explained(address: Address) -> Iterator[None]:
    """Turn what huggingface-hub raises into one sentence, which repeats none of its requests."""
    try:
        yield
    except Exception as error:  # its HTTP library's exceptions are of several kinds, by version
        known = [_REASONS[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in _REASONS]
        status = getattr(getattr(error, "response", None), "status_code", None)
        if not known and status in (401, 403):
            known = [f"the hub refuses this ({_LOGIN})"]
        what = f"HTTP {status}" if status else type(error).__name__
        reason = known[0] if known else f"the hub cannot be used ({what})"
        raise InputError(f"{address}: {reason}") from error
