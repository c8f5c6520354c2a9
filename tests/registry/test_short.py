"""registry/short.py: NAME and NAME:VALUE for a plugin with its first option."""

import pytest

from dlmone.core import InputError, PluginError
from dlmone.registry import Registry
from dlmone.registry.schema import AugmenterSlot, EvaluatorSlot, SamplerSlot, SelectorSlot
from dlmone.registry.short import slot_of, table_of

REGISTRY = Registry.discover()


@pytest.mark.parametrize(
    ("kind", "given", "table"),
    [
        (SamplerSlot, "ddim", {"use": "ddim"}),
        (SamplerSlot, "ddim:0.5", {"use": "ddim", "eta": 0.5}),
        (SamplerSlot, "diffuseq_ddim:false", {"use": "diffuseq_ddim", "rounding": False}),
        (SelectorSlot, "mbr:rouge_l", {"use": "mbr", "utility": "rouge_l"}),
        (SelectorSlot, 'mbr:"rouge_l"', {"use": "mbr", "utility": "rouge_l"}),
        (SamplerSlot, {"use": "ddim", "rounding": False}, {"use": "ddim", "rounding": False}),
    ],
)
def test_short_forms(kind, given, table):
    assert table_of(kind, given, REGISTRY, "here") == table
    slot = slot_of(kind, given, REGISTRY, "here")
    assert {"use": slot.use, **slot.options} == table


def test_every_built_in_says_what_its_short_form_sets():
    """The first option is declared by the plugin: nothing in the registry knows one by name."""
    for slot in (SamplerSlot, AugmenterSlot, SelectorSlot):
        for name in REGISTRY.names(slot.kind):
            assert table_of(slot, name, REGISTRY, "here") == {"use": name}
            for first in list(REGISTRY.options_model(slot.kind, name).model_fields)[:1]:
                assert table_of(slot, f"{name}:x", REGISTRY, "here") == {"use": name, first: "x"}


@pytest.mark.parametrize(
    ("kind", "given", "error", "message"),
    [
        (SamplerSlot, "ddmi:1", PluginError, r"--x: there is no sampler 'ddmi'; did you mean 'ddim'\?"),
        (SamplerSlot, "", PluginError, "--x: there is no sampler ''"),
        (SamplerSlot, "ddim:2", InputError, "--x ddim.eta: expected a number less than or equal to 1, got 2"),
        (SamplerSlot, "ddim:high", InputError, "--x ddim.eta: expected a valid number"),
        (SamplerSlot, "ddim:[", InputError, r"--x ddim:\[: the value is not TOML"),
        (SamplerSlot, {"use": "ddim", "et": 1}, InputError, "--x ddim.et: unknown key; did you mean 'eta'"),
        (SamplerSlot, {"eta": 1}, InputError, "--x: expected NAME, NAME:VALUE, or a table"),
        (
            EvaluatorSlot,
            "dist_1:2",
            InputError,
            "--x: the evaluator 'dist_1' has no option that '2' could set",
        ),
    ],
)
def test_mistakes(kind, given, error, message):
    with pytest.raises(error, match=message):
        slot_of(kind, given, REGISTRY, "--x")
