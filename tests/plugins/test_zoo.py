"""plugins/zoo: the models that come with dlmone are whole, small, and say what they are."""

import re
from pathlib import Path

import pytest

import dlmone
from dlmone.models.resolve import model_folder
from dlmone.registry import Registry

NAMES = ("qqp-compact", "qqp-compact-teacher")
#: What each model may weigh, and both together, in bytes.
LIMIT, LIMIT_OF_ALL = 25e6, 50e6


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover()


@pytest.mark.parametrize("name", NAMES)
def test_a_model_answers_offline(name: str, registry: Registry) -> None:
    model = dlmone.load(name, device="cpu", registry=registry)
    [[answer]] = model.generate(["how can i be a good geologist?"], steps=1)
    assert answer.startswith("how can i ")
    assert not re.search(r"\[(PAD|SEP|CLS|UNK)\]", answer)


@pytest.mark.parametrize("name", NAMES)
def test_its_card_says_where_it_comes_from_and_what_it_may_be_used_for(name: str, registry: Registry) -> None:
    card = (model_folder(name, registry) / "README.md").read_text(encoding="utf-8")
    for word in ("Quora Question Pairs", "non-commercial", "BLEU", f"dlmone generate {name}"):
        assert word in card


def test_the_models_are_small(registry: Registry) -> None:
    sizes = {name: size(model_folder(name, registry)) for name in NAMES}
    assert max(sizes.values()) <= LIMIT
    assert sum(sizes.values()) <= LIMIT_OF_ALL
