"""Time a batch of the paper's size in the training step, and made a step ahead by a thread.

    python benchmarks/batches.py

The thread does what it does for a GPU, but for pinning; a step is stood for by a pause. Both are medians of
milliseconds that the step waits, in the first epoch, in which examples are tokenised, and afterwards.
"""

import argparse
import time
from statistics import median

import torch

from dlmone.core import Example
from dlmone.plugins.diffuseq.options import DiffuSeqOptions
from dlmone.plugins.diffuseq.teacher import DiffuSeqTeacher
from dlmone.plugins.questions.options import SourceOptions
from dlmone.plugins.questions.source import QuestionsSource
from dlmone.training.batches.batches_ahead import BatchesAhead
from dlmone.training.batches.data_order import DataOrder
from dlmone.training.batches.tokenized import TokenizedExamples

CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--length", type=int, default=128)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--step-ms", type=float, default=300.0, help="how long a step is taken to be")
    options = parser.parse_args()
    torch.set_num_threads(1)
    examples = list(QuestionsSource(SourceOptions()).split("train"))[: options.steps * options.batch]
    sizes = DiffuSeqOptions(
        seq_len=options.length, hidden_dim=8, hidden_t_dim=8, width=16, layers=1, heads=2, tokenizer="words"
    )
    space = DiffuSeqTeacher.build(sizes, examples).space
    print(f"batches of {options.batch}, {options.length} tokens; milliseconds that a step waits")
    print("| | first epoch | later |\n|---|---|---|")
    for name, threads in (("in the step", 0), ("a step ahead", 1)):
        waits = waited(space, examples, options, threads)
        first, later = waits[1 : options.steps], waits[options.steps + 1 :]
        print(f"| {name} | {median(first):.2f} | {median(later):.2f} |")


def waited(space: object, examples: list[Example], options: argparse.Namespace, threads: int) -> list[float]:
    """Return the milliseconds that each step of two epochs waits for its batch."""
    ahead = BatchesAhead(TokenizedExamples(space, examples), CPU, threads)  # type: ignore[arg-type]
    order, found = DataOrder(len(examples), (0,), options.batch), []
    for step in range(2 * options.steps):
        started = time.perf_counter()
        ahead.of("", order[step], lambda: order[step + 1])  # noqa: B023
        found.append(1000 * (time.perf_counter() - started))
        time.sleep(options.step_ms / 1000 if threads else 0)
    return found


if __name__ == "__main__":
    main()
