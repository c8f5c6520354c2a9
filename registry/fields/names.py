"""Names in recipes that become names of folders and files."""

#: So that a file's name, with what a run adds to it, stays within what file systems take.
LONGEST = 100


def folder_name(name: str) -> str:
    """Return a name that can be a folder's, wherever the folder is made.

    Raises:
        ValueError: it would lead elsewhere, or no file system takes it.
    """
    fits = 0 < len(name) <= LONGEST and not name.startswith(".") and name.isprintable()
    if not fits or "/" in name or "\\" in name or name != name.strip():
        raise ValueError(
            f"expected a name for a folder: up to {LONGEST} characters, no slash, no dot at its beginning "
            "and no space at its ends"
        )
    return name
