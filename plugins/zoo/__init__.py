"""Provide the models shipped with dlmone, which can generate right after installation."""

from dlmone.registry import hookimpl
from dlmone.registry.hooks import Register


@hookimpl
def register_models(register: Register) -> None:
    register(
        "qqp-compact",
        f"{__name__}.folders:qqp_compact",
        help="paraphrases English questions in one network call; distilled from qqp-compact-teacher",
    )
    register(
        "qqp-compact-teacher",
        f"{__name__}.folders:qqp_compact_teacher",
        help="a LangFlow of 12.2M parameters, trained on Quora Question Pairs with dlmone",
    )
