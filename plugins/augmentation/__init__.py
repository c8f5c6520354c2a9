"""Augmenters: conditions varied at inference, so that outputs vary."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_augmenters(register: Register) -> None:
    register(
        "pad",
        f"{__name__}.pad:PadAugmenter",
        options=f"{__name__}.options:PadOptions",
        help="[PAD] inserted into the condition at random (Table 6)",
    )
