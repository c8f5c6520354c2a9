"""Fake CUDA tensors: shapes, dtypes and devices without data, and a count of what the host waits for.

They need neither a device nor a CUDA build of torch. Host tensors stay real.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock, patch

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ROOT = Path(__file__).parents[2]
CUDA = torch.device("cuda", 0)
#: Operators whose result has as many entries as the data say: CUDA tells the host how many.
OF_DATA_DEPENDENT_SIZE = (
    "nonzero",
    "masked_select",
    "_unique",
    "_unique2",
    "unique_dim",
    "unique_consecutive",
)


@dataclass
class Traffic:
    """What passed between host and device, by the line of dlmone that asked for it.

    Attributes:
        waits: the host stood still until the device had done all its work: a value read, or a copy to or
            from memory that is not pinned.
        copies: asynchronous copies, to and from pinned memory.
    """

    waits: Counter[str] = field(default_factory=Counter)
    copies: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        lines = [f"{kind}: {sum(places.values())}" for kind, places in self._kinds()]
        for kind, places in self._kinds():
            lines += [f"  {count} × {kind[:-1]} at {place}" for place, count in places.most_common()]
        return "\n".join(lines)

    def _kinds(self) -> tuple[tuple[str, Counter[str]], ...]:
        return ("waits", self.waits), ("copies", self.copies)


class _Fake(FakeTensorMode):
    """torch's fake mode, in which what C++ makes beside a fake tensor is on ``cuda`` as well."""

    def dispatch(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return super().dispatch(func, types, args, _on_cuda(kwargs or {}))


def _on_cuda(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the keywords of an operator; C++ takes a fake tensor for one on ``meta``."""
    device = kwargs.get("device")
    return {**kwargs, "device": CUDA} if device is not None and device.type == "meta" else kwargs


class FakeCuda(TorchDispatchMode):
    """Within, whatever is on ``cuda`` is fake, and `traffic` counts what crosses over to the host.

    A value that the host reads is True, 1, or 0.5: as if all were finite.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fake = _Fake(allow_non_fake_inputs=True)
        self.traffic = Traffic()
        self._pinned: dict[int, Tensor] = {}
        self._moved: dict[int, tuple[Tensor, Tensor]] = {}
        self._patches = ExitStack()

    def __enter__(self) -> FakeCuda:
        import torch._dynamo  # it looks at torch's functions, and so comes before they are replaced

        for target, name, value in self._replacements():
            self._patches.enter_context(patch.object(target, name, value))
        torch._C._set_only_lift_cpu_tensors(True)  # torch.tensor(…, device="cuda") is a copy that is seen
        self._patches.callback(torch._C._set_only_lift_cpu_tensors, False)
        super().__enter__()
        return self

    def _replacements(self) -> Iterator[tuple[Any, str, Any]]:
        make = torch.Tensor._make_subclass
        # The autograd engine asks tensors that C++ takes for CUDA ones for their stream, which no device has
        # here. Python, and so all of dlmone and torch's fake mode, still sees "cuda".
        yield torch.Tensor, "_make_subclass", lambda *args, dispatch_device=False, **more: make(*args, **more)
        yield torch.Tensor, "pin_memory", lambda tensor, *_: self._pin(tensor)
        yield torch.Tensor, "is_pinned", lambda tensor, *_: self._is_pinned(tensor)
        yield FakeTensor, "tolist", lambda tensor: tensor.cpu().tolist()
        yield nn.Module, "_apply", lambda module, convert, **_: self._applied(module, convert)
        if not torch.cuda.is_available():
            yield torch.cuda, "_lazy_init", lambda: None
            yield torch.cuda, "get_device_capability", lambda device=None: (9, 0)
            yield torch.cuda, "current_stream", lambda device=None: Mock()
            memory = SimpleNamespace(total_memory=80 * 2**30, multi_processor_count=132)
            yield torch.cuda, "get_device_properties", lambda device=None: memory

    def __exit__(self, *failure: Any) -> None:
        super().__exit__(*failure)
        self._patches.close()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = _on_cuda(kwargs or {})
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = any(isinstance(tensor, FakeTensor) for tensor in tensors)
        device = kwargs.get("device")
        name = func.overloadpacket.__name__
        if there and name == "_local_scalar_dense":
            self._count(self.traffic.waits)
            return _read(args[0]).item()
        if there and name == "_to_copy" and device is not None and device.type == "cpu":
            self._count(self.traffic.waits)
            return _read(args[0]).to(kwargs.get("dtype") or args[0].dtype)
        if name == "copy_" and there and not all(isinstance(tensor, FakeTensor) for tensor in tensors):
            into, source = args[:2]
            non_blocking = bool(args[2:] and args[2]) or kwargs.get("non_blocking", False)
            if not isinstance(into, FakeTensor):
                self._send(into, non_blocking)
                return into.copy_(_read(source))
            self._send(source, non_blocking)
        if not there and name == "_to_copy" and device is not None and device.type == "cuda":
            self._send(tensors[0], kwargs.get("non_blocking", False))
        if there and (name in OF_DATA_DEPENDENT_SIZE or _by_mask(name, args)):
            self._count(self.traffic.waits)
            raise NotImplementedError(f"{name} on {CUDA} has a size that only the data tell")
        if not there and kwargs.get("pin_memory"):
            return self._held(func(*args, **{**kwargs, "pin_memory": False}))
        if there or (device is not None and device.type == "cuda"):
            with self.fake:
                return func(*args, **kwargs)
        return func(*args, **kwargs)

    def _send(self, on_host: Tensor, non_blocking: bool) -> None:
        free = non_blocking and self._is_pinned(on_host)
        self._count(self.traffic.copies if free else self.traffic.waits)

    def _pin(self, tensor: Tensor) -> Tensor:
        return self._held(tensor.clone())

    def _held(self, pinned: Tensor) -> Tensor:
        self._pinned[pinned.untyped_storage().data_ptr()] = pinned  # held, so that no other takes its place
        return pinned

    def _is_pinned(self, tensor: Tensor) -> bool:
        on_host = not isinstance(tensor, FakeTensor)
        return on_host and tensor.untyped_storage().data_ptr() in self._pinned

    def _applied(self, module: nn.Module, convert: Callable[[Tensor], Tensor]) -> nn.Module:
        """Move or cast a module by new tensors, as torch does not for fake ones; shared ones stay shared."""
        for part in module.modules():
            for held in (part._parameters, part._buffers):
                for name, tensor in held.items():
                    if tensor is not None:
                        held[name] = self._converted(tensor, convert)
        return module

    def _converted(self, tensor: Tensor, convert: Callable[[Tensor], Tensor]) -> Any:
        with torch.no_grad():
            found = convert(tensor)
        if found is tensor:
            return tensor
        if id(tensor) not in self._moved:
            if isinstance(tensor, nn.Parameter):
                found = nn.Parameter(found, tensor.requires_grad)
            self._moved[id(tensor)] = tensor, found  # the old one is held, so that no other takes its id
        return self._moved[id(tensor)][1]

    def _count(self, places: Counter[str]) -> None:
        places[_place()] += 1


def _read(tensor: Tensor) -> Tensor:
    """Return what the host reads of a fake tensor."""
    return torch.full(tuple(tensor.shape), 0.5 if tensor.is_floating_point() else 1, dtype=tensor.dtype)


def _place() -> str:
    """Return the innermost line of dlmone that is being run."""
    for frame in reversed(traceback.extract_stack()):
        path = Path(frame.filename)
        if any(path.is_relative_to(ROOT / floor) for floor in ("core", "dlmone", "plugins", "registry")):
            return f"{path.relative_to(ROOT)}:{frame.lineno} {frame.line}"
    return "outside dlmone"


def _by_mask(name: str, args: Any) -> bool:
    indices = args[1] if name in ("index", "index_put", "index_put_") else ()
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)


@contextmanager
def counted(mode: FakeCuda) -> Iterator[Traffic]:
    """Count from nothing within."""
    mode.traffic = Traffic()
    yield mode.traffic


def traffic_of(mode: FakeCuda, call: Callable[[], object]) -> Traffic:
    """Return what a call lets pass."""
    with counted(mode) as traffic:
        call()
    return traffic
