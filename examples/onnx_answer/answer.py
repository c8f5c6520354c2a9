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

END, PAD = "[SEP]", "[PAD]"
MARKERS = ("[CLS]", END, PAD)


class Student:
    """A DiffuSeq or LangFlow student's graph with its tokenizer."""

    def __init__(self, folder: Path) -> None:
        self.facts = json.loads((folder / "graph.json").read_text(encoding="utf-8"))
        self.session = onnxruntime.InferenceSession(str(folder / self.facts["file"]))
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.family, self.length = self.facts["model"]["teacher"], self.facts["inputs"]["tokens"]["shape"][1]
        ends = {"diffuseq": [END, END], "langflow": [END]}[self.family]
        self.cls, *self.ends = map(self.tokenizer.token_to_id, ["[CLS]", *ends])

    def inputs(self, question: str) -> tuple[list[int], list[bool]]:
        """Return the tokens ``[CLS] question [SEP]… [PAD]…``, and where the answer is generated."""
        room = self.facts["longest_condition"] - 1 - len(self.ends)
        ids = self.tokenizer.encode(question, add_special_tokens=False).ids[:room]
        given = [self.cls, *ids, *self.ends]
        free = self.length - len(given)
        return given + [self.tokenizer.token_to_id(PAD)] * free, [False] * len(given) + [True] * free

    def answer(self, questions: list[str], seed: int = 0) -> list[str]:
        rows, rng = [self.inputs(question) for question in questions], np.random.default_rng(seed)
        feed = {"tokens": np.array([row[0] for row in rows]), "target": np.array([row[1] for row in rows])}
        for name, fact in self.facts["inputs"].items():
            shape = (len(rows), *fact["shape"][1:])
            if "draw" in fact:
                normal = fact["draw"] == "normal"
                feed[name] = rng.standard_normal(shape, np.float32) if normal else rng.random(shape)
        [generated] = self.session.run(None, feed)
        return [self.text(ids[where]) for ids, where in zip(generated, feed["target"], strict=True)]

    def text(self, ids: np.ndarray) -> str:
        words = self.tokenizer.decode(ids.tolist(), skip_special_tokens=False).split()
        if self.family == "langflow" and END in words:  # its texts end there
            words = words[: words.index(END)]
        return " ".join(word for word in words if word not in MARKERS)


if __name__ == "__main__":
    if len(sys.argv) < 3 or not Path(sys.argv[1], "graph.json").is_file():
        sys.exit("usage: python answer.py FOLDER QUESTION... (FOLDER is what `dlmone export` wrote)")
    for line in Student(Path(sys.argv[1])).answer(sys.argv[2:]):
        print(line)
