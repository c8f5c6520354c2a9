"""Find the plugin whose code an exception comes from."""

from importlib.metadata import entry_points
from traceback import walk_tb

from .plugin import one_line

#: How the module of a one-file plugin is named, in front of its stem and a hash.
FILE_MODULE = "dlmone_file_"


def failure(error: BaseException) -> str:
    """Say where a plugin's code failed; "" if the exception passed through none but dlmone's own.

    The innermost frame of a plugin counts: what a plugin passed wrongly to a library is its mistake too.
    """
    packages = _packages()
    for frame, line in reversed(list(walk_tb(error.__traceback__))):
        module = str(frame.f_globals.get("__name__", ""))
        name = packages.get(module.partition(".")[0], "")
        if module.startswith(FILE_MODULE) or name:
            code = frame.f_code
            whose = f"the plugin {name}: " if name else "the plugin "
            method = code.co_qualname
            return f"{whose}{code.co_filename}, line {line}, in {method}(): {one_line(error)}"
    return ""


def _packages() -> dict[str, str]:
    """Return the plugins of other distributions by their top-level packages."""
    found = {}
    for point in entry_points(group="dlmone"):
        package = point.module.partition(".")[0]
        if package != "dlmone":
            found[package] = (
                f"{point.name} ({point.dist.name} {point.dist.version})" if point.dist else point.name
            )
    return found
