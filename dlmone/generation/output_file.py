"""A file of samples that grows as they are generated: an interruption costs one batch at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from dlmone.core import Batch, Codec, DlmoneError, InputError, Sample
from dlmone.evaluation.provenance import Provenance
from dlmone.evaluation.samples import read_partial
from dlmone.runtime.files import reason_of

from .inference import sample_line


class OutputFile:
    """JSON lines of samples, continued only with the model, settings and texts that they were begun with.

    Every batch is handed to the system as it is done, in one piece, so that a kill leaves whole lines, and
    at worst a torn last one, which is dropped.

    Args:
        path: the file; made when the first samples come.
        provenance: of the samples to come; the number of network calls need not be known yet.
        candidates: how many each sample has.
        resume: whether to continue a file that is there.

    Raises:
        InputError: there is something in the file, and it is not to be continued or it comes from another
            model or other settings; or another process writes it.
        DlmoneError: the file cannot be written, here and in `add`.
    """

    def __init__(self, path: Path, provenance: Provenance, candidates: int, resume: bool) -> None:
        if path.parent.is_file():
            raise InputError(f"{path}: {path.parent} is a file, where a folder was expected")
        self.path = path
        self._is_torn, self._whole = False, 0
        self._done: list[Sample] = []
        #: How many of the samples that were there have been asked for again, and found the same.
        self.found = 0
        self._lock = FileLock(path.with_name(f".{path.name[:200]}.lock"))
        try:
            if path.parent.is_dir() and (path.is_file() or not path.exists()):
                Path(self._lock.lock_file).touch()  # says why a file cannot be made; the lock may not
                self._lock.acquire(timeout=0)
            self._read(provenance, candidates, resume)
        except Timeout:
            raise InputError(f"{path}: another process is writing this file") from None
        except OSError as error:
            self.close()
            raise self._unwritable(error) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let other processes write the file."""
        if self._lock.is_locked:
            Path(self._lock.lock_file).unlink(missing_ok=True)
            self._lock.release()

    def _read(self, provenance: Provenance, candidates: int, resume: bool) -> None:
        path = self.path
        if not path.is_file() or not path.stat().st_size:
            return
        if not resume:
            raise InputError(f"{path} is there already: continue it with --resume, or name another file")
        found, self._given, self._whole = read_partial(path)
        self._is_torn = self._whole < path.stat().st_size
        self._done = found.samples
        if self._done:
            self._check(provenance, candidates, found.provenance)

    @property
    def awaits(self) -> bool:
        """Whether the file holds samples that have not been asked for again yet."""
        return self.found < len(self._done)

    def known(self, batch: Batch, space: Codec, sources: Mapping[str, str]) -> int:
        """Return how many of the first rows of the next batch the file holds.

        ``sources`` are the texts given, by id: a model may read two of them alike.

        Raises:
            InputError: the file holds another example in this place.
        """
        if not self.awaits:
            return 0
        known = batch[: len(self._done) - self.found]
        texts = space.source_text(known), space.reference_text(known)
        for id, source, reference in zip(known.ids, *texts, strict=True):
            sample, given = self._done[self.found], self._given[self.found]
            self.found += 1
            read = (sample.id, sample.source, sample.reference)
            if read != (id, source, reference) or given != sources.get(id, given):
                raise InputError(
                    f"{self.path}, line {self.found}: written for another text than this one, of id "
                    f"{id!r}; continue it with the texts that it was begun with"
                )
        return len(known)

    def add(self, samples: Sequence[Sample], provenance: Provenance, sources: Mapping[str, str]) -> None:
        """Append samples; they outlive this process from here on. ``sources`` are the texts given, by id."""
        rows = [sample_line(sample, provenance, sources.get(sample.id)) for sample in samples]
        lines = "".join(row + "\n" for row in rows).encode()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("ab") as file:
                if self._is_torn:
                    file.truncate(self._whole)
                    self._is_torn = False
                file.write(lines)
        except OSError as error:
            raise self._unwritable(error) from None

    def _unwritable(self, error: OSError) -> DlmoneError:
        return DlmoneError(f"{self.path}: cannot be written ({reason_of(error)})")

    def require_all_found(self) -> None:
        """Raise InputError if the file holds more samples than there were texts."""
        if self.awaits:
            raise InputError(
                f"{self.path} holds {len(self._done)} samples, and there are {self.found} texts: "
                "continue it with the texts that it was begun with"
            )

    def _check(self, provenance: Provenance, candidates: int, found: Provenance) -> None:
        """Raise unless the samples in the file are like those to come."""
        if what := found.differs(provenance, besides=("calls",)):
            raise InputError(
                f"{self.path} cannot be continued: it was not written so (other: {what}); "
                "repeat the model and settings that it was begun with"
            )
        if (there := len(self._done[0].candidates)) != candidates:
            raise InputError(
                f"{self.path} cannot be continued: its samples have {there} candidates, not {candidates}"
            )
