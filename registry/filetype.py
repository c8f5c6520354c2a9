"""Say what a file is that is not what it was taken for."""

from pathlib import Path


def mistaken(path: Path) -> str:
    """Return what a file that holds no weights is, as the rest of a sentence; "" if that is not known."""
    try:
        with path.open("rb") as file:
            start = file.read(512).lstrip()
    except OSError:
        return ""
    if not start:
        return "is empty: was its writing cut short?"
    if start.startswith(b"version https://git-lfs"):
        return "is a pointer of Git LFS and not the file itself: run git lfs pull in its repository"
    if start[:1] == b"<":
        return "is a web page and not the file itself: download that"
    return ""
