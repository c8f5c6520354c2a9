"""The Generator contract: given positions kept, calls counted, rows independent of their batch mates."""

from collections.abc import Sequence

import torch

from dlmone.core import Example, Generated, Generator, Noise

from ..claims import require, require_refusal


def check_generator(
    generator: Generator, examples: Sequence[Example], *, refines: bool = True, drawn: bool = True
) -> None:
    """Check a generator against its contract, at one step and, if it refines, at more.

    Args:
        generator: the one to check, on the CPU in float32.
        examples: some whose texts its space gives back.
        refines: whether it may take more than one step.
        drawn: whether its outputs depend on the noise.

    Raises:
        AssertionError: it violates the contract; the message says how.
    """
    space = generator.space
    batch = space.collate(examples)
    require(batch.ids == tuple(example.id for example in examples), "collate() must keep ids and order")
    require(bool(batch.target_BL.any(1).all()), "collate() left a row without a position to generate")

    def write(rows: slice = slice(None), seed: int = 0, steps: int = 1) -> Generated:
        part = batch[rows]
        return generator.generate(part, Noise([(seed, id) for id in part.ids]), steps)

    written = write()
    tokens_BL = written.tokens_BL
    shape = tuple(batch.tokens_BL.shape)
    require(
        tuple(tokens_BL.shape) == shape,
        f"generate() must return tokens {shape}, not {tuple(tokens_BL.shape)}",
    )
    require(tokens_BL.dtype == torch.int64, f"generate() must return int64 tokens, not {tokens_BL.dtype}")
    given_BL = ~batch.target_BL
    kept = torch.equal(tokens_BL[given_BL], batch.tokens_BL[given_BL])
    require(kept, "generate() must keep the batch's tokens at given positions")
    require(written.calls >= 1, "generate() must report the network calls it made")
    require(
        torch.equal(write().tokens_BL, tokens_BL),
        "the same noise gave other tokens; key every draw by sample",
    )
    if drawn:
        other = write(seed=1).tokens_BL
        require(
            not torch.equal(other, tokens_BL), "another seed gave the same tokens, so the noise has no effect"
        )
    for row in range(len(examples)):
        alone_L = write(slice(row, row + 1)).tokens_BL[0]
        require(
            torch.equal(alone_L, tokens_BL[row]), "a row depends on its batch mates; key all draws by sample"
        )
    texts = space.text(tokens_BL, batch)
    require(len(texts) == len(examples), "text() must give one string a row")
    require(generator.refines == refines, f"refines must be {refines}")
    require_refusal(lambda: write(steps=0), "a generator at 0 steps")
    if not refines:
        require_refusal(lambda: write(steps=2), "a generator that does not refine, at 2 steps,")
        return
    for steps in (2, 3):
        again = write(steps=steps)
        require(again.calls >= 1, f"generate() must report the network calls of {steps} steps")
        kept = tuple(again.tokens_BL.shape) == shape
        kept = kept and torch.equal(again.tokens_BL[given_BL], batch.tokens_BL[given_BL])
        require(kept, f"generate() must keep the batch's tokens at given positions in {steps} steps too")
