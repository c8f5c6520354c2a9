"""dlmone/runtime/tensors.py: tensors of any layout, in a file like any other."""

import os

import pytest
import torch
from safetensors.torch import load_file

from dlmone.runtime.tensors import NamedNumbers, read_together, save_tensors


def test_shared_and_transposed_tensors_are_saved_whole(tmp_path):
    table = torch.arange(12.0).reshape(3, 4)
    tensors = {"table": table, "tied": table, "turned": table.T, "row": table[1], "none": torch.zeros(0)}
    save_tensors(tensors, tmp_path / "a.safetensors", {"kind": "test"})
    found = load_file(tmp_path / "a.safetensors")
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_permissions_follow_the_umask(tmp_path, umask):
    before = os.umask(umask)
    try:
        save_tensors({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    finally:
        os.umask(before)
    assert (tmp_path / "a.safetensors").stat().st_mode & 0o777 == 0o666 & ~umask


def test_a_folder_that_is_not_there_is_named_by_the_system(tmp_path):
    with pytest.raises(FileNotFoundError):
        save_tensors({"a": torch.zeros(1)}, tmp_path / "no" / "a.safetensors")


def test_tensors_that_are_read_together_keep_value_and_dtype():
    tensors = [torch.tensor([2**40 + 1, 3]), torch.tensor([0.1, float("nan")]), torch.tensor([True, False])]
    for found, tensor in zip(read_together(tensors), tensors, strict=True):
        torch.testing.assert_close(found, tensor, rtol=0, atol=0, equal_nan=True)
    assert read_together([]) == []


def test_named_numbers_are_numbers_in_their_order():
    numbers = NamedNumbers({"a": torch.tensor(0.1, dtype=torch.float64), "b": 2, "c": torch.tensor(3)})
    assert dict(numbers) == {"a": 0.1, "b": 2, "c": 3.0}
    assert list(numbers) == ["a", "b", "c"]
    assert all(not isinstance(value, torch.Tensor) for value in numbers.values())
    assert dict(NamedNumbers({})) == {}
