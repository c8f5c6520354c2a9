"""dlmone/runtime/device.py and core/accelerator.py: what a GPU is taken for, by its capability."""

from types import SimpleNamespace

import pytest
import torch

from dlmone.core import InputError, accelerator
from dlmone.core.accelerator import runs_kernels, scores_at_once
from dlmone.registry.fields.device import resolve_device
from dlmone.registry.schema import Compute as ComputeTable
from dlmone.runtime.device import Compute
from dlmone.runtime.distributed import World


@pytest.fixture(params=[(7, 5), (8, 0), (9, 0)])
def capability(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """Two GPUs: the first as it is asked for, the second, cuda:1, of the parameter's capability."""

    def told(device: torch.device) -> tuple[int, int]:
        return request.param if device.index == 1 else (6, 0)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", told)
    # As PyTorch says of every GPU: where bfloat16 is not the GPU's own, it is emulated.
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, **__: True)
    return request.param


def test_emulated_bfloat16_is_not_taken_for_real(capability: tuple[int, int]) -> None:
    assert Compute.of(ComputeTable(device="cuda:1", precision="auto")).bfloat16 == (capability >= (8, 0))
    assert Compute.of(ComputeTable(device="cuda:1", precision="bfloat16")).bfloat16, "as it was asked for"


def test_kernels_run_on_new_enough_gpus(capability: tuple[int, int]) -> None:
    pytest.importorskip("triton")
    assert runs_kernels(torch.device("cuda", 1)) == (capability >= (8, 0))
    assert not runs_kernels(torch.device("cpu"))


def test_a_named_device_becomes_the_current_one(
    capability: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    Compute.start(ComputeTable(device="cuda:1", precision="float32"))
    assert current == [torch.device("cuda", 1)]


@pytest.mark.parametrize("asked", ["auto", "cuda", "cuda:0"])
def test_of_several_processes_each_has_the_gpu_of_its_local_rank(
    asked: str, capability: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second process of the second machine of two."""
    current: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "set_device", current.append)
    monkeypatch.setattr(World, "join", lambda: World(3, 4))
    monkeypatch.setenv("LOCAL_RANK", "1")
    compute = Compute.start(ComputeTable(device=asked, precision="float32"))
    assert compute.device == current[-1] == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(InputError, match=r"LOCAL_RANK is '2'.* 0 to 1"):
        Compute.start(ComputeTable(device=asked, precision="float32"))
    on_cpu = Compute.start(ComputeTable(device="cpu", precision="float32"))
    assert on_cpu.device == torch.device("cpu"), "more processes than GPUs are none too many there"


def test_a_gpu_holds_more_scores_at_a_time_than_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = SimpleNamespace(total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: memory)
    assert scores_at_once(torch.device("cpu")) * 4 == 32 * 2**20
    assert scores_at_once(torch.device("cuda", 1)) * 4 == 1.25 * 2**30


def test_one_process_has_nothing_to_share_its_networks_with() -> None:
    with pytest.warns(UserWarning, match="compute.shard has no effect in one process; .* torchrun"):
        compute = Compute.start(ComputeTable(device="cpu", shard=True))
    assert compute.mesh is None


def test_an_old_pytorch_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "__version__", type(torch.__version__)("2.12.1+cpu"))
    Compute.of(ComputeTable(device="cpu"))
    with pytest.raises(InputError, match=r"compute.shard needs PyTorch 2\.13 or newer, and this is 2\.12\.1"):
        Compute.of(ComputeTable(device="cpu", shard=True))


def test_a_seed_is_pytorchs_own() -> None:
    for seed in (0, 2**32 - 1):
        Compute.of(ComputeTable(device="cpu")).seed(seed)
        drawn = torch.rand(3), torch.empty(3).bernoulli_()
        torch.manual_seed(seed)
        assert all(map(torch.equal, drawn, (torch.rand(3), torch.empty(3).bernoulli_())))


@pytest.mark.parametrize(
    ("amx", "avx512", "vendor", "pays"),
    [
        (True, True, "GenuineIntel", True),
        (False, True, "GenuineIntel", False),
        (False, True, "AuthenticAMD", True),
        (False, False, "AuthenticAMD", False),
        (False, True, "", False),
    ],
)
def test_auto_is_bfloat16_on_cpus_that_multiply_it_faster(
    amx: bool, avx512: bool, vendor: str, pays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(accelerator, "_processors", lambda: f"vendor_id : {vendor}")
    assert Compute.of(ComputeTable(device="cpu", precision="auto")).bfloat16 is pays
    assert Compute.of(ComputeTable(device="cpu", precision="bfloat16")).bfloat16, "as it was asked for"


@pytest.mark.parametrize("name", ["tpu", "meta", "cpu:0", "cuda:", "cuda:-1", "cuda:x", "cuda:0 ", "", "CPU"])
def test_a_device_of_another_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"there is no device .*; expected auto, cpu, cuda or cuda:N$"):
        resolve_device(name)


def test_a_device_is_there_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="'cuda:1' was asked for, but no CUDA device is available here"):
        resolve_device("cuda:1")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(InputError, match="'cuda:2' was asked for, but the last one here is cuda:1"):
        resolve_device("cuda:2")
