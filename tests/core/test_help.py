"""``help(dlmone.core)`` shows the classes that the package offers, though they are imported lazily."""

import io
import pydoc
import re

import pytest

import dlmone
import dlmone.core
import dlmone.registry

WANTED = {
    "dlmone.core": ["Teacher", "Objective", "Evaluator", "DataSource", "Sampler", "DiffusionGenerator"],
    "dlmone.registry": ["Registry", "hookimpl"],
    "dlmone": ["load", "InputError"],
}


@pytest.mark.parametrize("name", WANTED)
def test_help_lists_what_is_offered(name: str) -> None:
    module = {"dlmone": dlmone, "dlmone.core": dlmone.core, "dlmone.registry": dlmone.registry}[name]
    written = io.StringIO()
    pydoc.Helper(output=written)(module)
    text = pydoc.plain(written.getvalue())
    for one in WANTED[name]:
        assert re.search(rf"^ +(class )?{one}\b", text, re.MULTILINE), one
        assert one in dir(module)
