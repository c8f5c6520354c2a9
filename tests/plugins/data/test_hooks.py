"""What the data plugins register exists and fits together."""

from importlib import import_module

import pytest
from pydantic import BaseModel

from dlmone.core.text.data import DataSource
from dlmone.core.text.evaluator import Evaluator
from dlmone.plugins import data, questions


def load(target):
    module, name = target.split(":")
    return getattr(import_module(module), name)


@pytest.mark.parametrize(
    ("hook", "names", "contract"),
    [
        (data.register_data, {"jsonl", "hub", "files", "dataset"}, DataSource),
        (questions.register_data, {"questions", "question_text"}, DataSource),
        (questions.register_evaluators, {"questions", "question_text"}, Evaluator),
    ],
)
def test_registered_targets_and_options_exist(hook, names, contract):
    registered = {}
    hook(lambda name, target, **more: registered.update({name: (target, more)}))
    assert set(registered) == names
    for target, more in registered.values():
        assert issubclass(load(target), contract)
        assert issubclass(load(more["options"]), BaseModel)
        assert more["help"]
