"""Save named tensors as a safetensors file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Save tensors of any layout, with the permissions of other files.

    The format stores plain blocks: a transposed tensor is copied into one, and of tensors that share memory
    (tied weights) each gets its own, so that all load by their names.

    Raises:
        OSError: the file cannot be written.
        SafetensorError: the same, where the library says so.
    """
    path.touch()  # safetensors makes files that their owner alone can read; an ordinary one follows the umask
    mode = path.stat().st_mode
    blocks: set[int] = set()
    plain: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        block = tensor.detach().cpu().contiguous()
        place = block.untyped_storage().data_ptr()
        plain[name] = block.clone() if place in blocks else block
        blocks.add(place)
    save_file(plain, path, metadata=dict(metadata) if metadata is not None else None)
    path.chmod(mode)
