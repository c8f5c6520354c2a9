"""Answer questions with an exported student: onnxruntime, tokenizers and numpy, no dlmone.

dlmone export qqp-compact exported --to onnx
python answer.py exported "how can i learn french ?" "what is love ?"
"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

MARKERS = ("[CLS]", "[SEP]", "[PAD]")


class Student:
    """A DiffuSeq student's graph with its tokenizer."""

    def __init__(self, folder: Path) -> None:
        facts = json.loads((folder / "graph.json").read_text(encoding="utf-8"))
        self.session = onnxruntime.InferenceSession(str(folder / facts["file"]))
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.cls, self.sep, self.pad = map(self.tokenizer.token_to_id, MARKERS)
        self.length, self.width = facts["inputs"]["noise"]["shape"][1:]

    def inputs(self, question: str) -> tuple[list[int], list[bool]]:
        """Return the tokens ``[CLS] question [SEP] [SEP] [PAD]…``, and where the answer is generated."""
        ids = self.tokenizer.encode(question, add_special_tokens=False).ids[: self.length - 6]
        given = [self.cls, *ids, self.sep, self.sep]
        free = self.length - len(given)
        return given + [self.pad] * free, [False] * len(given) + [True] * free

    def answer(self, questions: list[str], seed: int = 0) -> list[str]:
        rows = [self.inputs(question) for question in questions]
        tokens, target = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
        shape = (len(rows), self.length, self.width)
        noise = np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)
        [generated] = self.session.run(None, {"tokens": tokens, "target": target, "noise": noise})
        return [self.text(ids[where]) for ids, where in zip(generated, target, strict=True)]

    def text(self, ids: np.ndarray) -> str:
        words = self.tokenizer.decode(ids.tolist(), skip_special_tokens=False).split()
        return " ".join(word for word in words if word not in MARKERS)


if __name__ == "__main__":
    if len(sys.argv) < 3 or not Path(sys.argv[1], "graph.json").is_file():
        sys.exit("usage: python answer.py FOLDER QUESTION... (FOLDER is what `dlmone export` wrote)")
    for line in Student(Path(sys.argv[1])).answer(sys.argv[2:]):
        print(line)
