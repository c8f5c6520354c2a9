"""The protocols of generative perplexity: what of a text a model reads, and which tokens count.

``langflow`` and ``elf`` are those of the official evaluations (LangFlow's gen_ppl.py, ELF's
metrics_utils.py); ``plain`` is dlmone's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Protocol:
    """How texts are scored.

    Attributes:
        framed: line breaks become a marker, which also begins and ends the text: what a model wrote between
            its markers is scored with them.
        bounded: the text stands between a begin and an end token, and its first token and its end count too.
        padding: the first padding token of a row counts, unless the row is as long as its batch's longest.
        half: the dtype that the official code uses on CUDA.
        half_on_cpu: whether it uses that on a CPU too.
    """

    framed: bool = False
    bounded: bool = False
    padding: bool = False
    half: torch.dtype | None = None
    half_on_cpu: bool = False

    def dtype(self, device: str) -> torch.dtype:
        """Return the model's dtype on a device."""
        used = self.half if device != "cpu" or self.half_on_cpu else None
        return used or torch.float32

    def frame(self, text: str, marker: str) -> str:
        """Return the text that is tokenised."""
        if not self.framed or not marker:
            return text
        return f"{marker} {' '.join(text.replace(chr(10), f' {marker} ').split())} {marker}"

    def tokens(self, text: list[int], begin: int, end: int, most: int) -> list[int]:
        """Return what the model reads of a text's tokens, at most ``most`` of them."""
        return [begin, *text, end][:most] if self.bounded else text[:most]

    def counts(self, lengths: Sequence[int]) -> list[int]:
        """Return how many tokens after the first count in each row of a batch of these lengths."""
        longest = max(lengths, default=0)
        most = [length if self.padding else length - 1 for length in lengths]
        # An empty text is skipped, also where a padding token would count.
        return [min(count, longest - 1) if length else 0 for count, length in zip(most, lengths, strict=True)]


PROTOCOLS = {
    "plain": Protocol(bounded=True),
    "langflow": Protocol(framed=True, half=torch.float16),
    "elf": Protocol(padding=True, half=torch.bfloat16, half_on_cpu=True),
}
