"""A file of samples that grows while they are written: an interruption costs one batch at most."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dlmone.core import Codec, Example, InputError, Sample
from dlmone.evaluation.provenance import Provenance
from dlmone.evaluation.samples import read_partial
from dlmone.models.loaded import Job

from .inference import sample_line


class OutputFile:
    """JSON lines of samples. What is in the file is continued only by what would have been written there.

    Every batch is handed to the system as it is done, in one piece, so that a kill leaves whole lines, and
    at worst a torn last one, which is dropped.

    Args:
        path: the file; made when the first samples come.
        job: how they are written.
        resume: whether samples that are there are to be continued.

    Raises:
        InputError: there is something in the file and it is not to be continued, or it was written by
            another model or in another way.
    """

    def __init__(self, path: Path, job: Job, resume: bool) -> None:
        self.path = path
        self._is_torn, self._whole = False, 0
        self._done: list[Sample] = []
        #: How many of the samples that were there have been asked for again, and found the same.
        self.found = 0
        if not path.is_file() or not path.stat().st_size:
            return
        if not resume:
            raise InputError(f"{path} is there already: continue it with --resume, or name another file")
        found, self._whole = read_partial(path)
        self._is_torn = self._whole < path.stat().st_size
        self._done = found.samples
        if self._done:
            self._check(job, found.provenance)

    def fresh(self, examples: Sequence[Example], space: Codec) -> list[Example]:
        """Return those of the next examples that the file lacks.

        Raises:
            InputError: the file holds another example in this place.
        """
        known = examples[: len(self._done) - self.found]
        if not known:
            return list(examples)
        batch = space.collate(known)
        texts = zip(space.source_text(batch), space.text(batch.tokens_BL, batch), strict=True)
        for example, (source, reference) in zip(known, texts, strict=True):
            sample = self._done[self.found]
            self.found += 1
            if (sample.id, sample.source, sample.reference) != (example.id, source, reference):
                raise InputError(
                    f"{self.path}, line {self.found}: written for another text than this one, of id "
                    f"{example.id!r}; continue it with the texts that it was begun with"
                )
        return list(examples[len(known) :])

    def add(self, samples: Sequence[Sample], provenance: Provenance) -> None:
        """Write samples; they outlive this process from here on."""
        lines = "".join(sample_line(sample, provenance) + "\n" for sample in samples).encode()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab") as file:
            if self._is_torn:
                file.truncate(self._whole)
                self._is_torn = False
            file.write(lines)

    def require_all_found(self) -> None:
        """Raise InputError if the file holds more samples than there were texts."""
        if self.found < len(self._done):
            raise InputError(
                f"{self.path} holds {len(self._done)} samples, and there are {self.found} texts: "
                "continue it with the texts that it was begun with"
            )

    def _check(self, job: Job, provenance: Provenance) -> None:
        """Raise unless the samples in the file are what ``job`` would have written."""
        if what := provenance.differs(job.provenance, besides=("calls",)):
            raise InputError(
                f"{self.path} cannot be continued: it was not written so (other: {what}); "
                "repeat the model and settings that it was begun with"
            )
        if (there := len(self._done[0].candidates)) != job.kept:
            raise InputError(
                f"{self.path} cannot be continued: its samples have {there} candidates, not {job.kept}"
            )
