"""Selection of one of several candidates."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_selectors(register: Register) -> None:
    register(
        "mbr",
        f"{__name__}.mbr:MbrSelector",
        options=f"{__name__}.options:MbrOptions",
        help="minimum Bayes risk: the candidate closest to all the others",
        default=True,
    )
