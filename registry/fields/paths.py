"""Say what is wrong with a text that is to be a path, before anything uses it."""

import errno
import os
from pathlib import Path


def trouble(text: str) -> str:
    """Say why no file or folder can have this path; "" if one can, whether it is there or not."""
    if "\0" in text:
        return "a path cannot hold a NUL byte"
    try:
        os.lstat(Path(text).expanduser())
    except RuntimeError:
        return f"there is no user {text[1:].partition('/')[0]!r} whose home folder ~ could be"
    except UnicodeEncodeError:
        return "a path cannot hold half of a surrogate pair"
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.EACCES):
            return os.strerror(error.errno or 0).lower()
    return ""
