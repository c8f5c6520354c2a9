"""The data: a date as the source, one of its forms as the target."""

from hashlib import blake2b

from dlmone.core import DataSource, Example

from .forms import DAYS, FORMS, YEARS, written


class Dates(DataSource):
    """All dates of 60 years up to the 28th: 16,128 of them are for training, 2,016 each held out."""

    def __init__(self, options: object) -> None:
        pass

    def split(self, name: str) -> list[Example]:
        dates = [f"{year}-{month:02}-{day:02}" for year in YEARS for month in range(1, 13) for day in DAYS]
        dates.sort(key=_draw)
        held_out = len(dates) // 10
        parts = {
            "train": dates[2 * held_out :],
            "valid": dates[:held_out],
            "test": dates[held_out : 2 * held_out],
        }
        return [Example(date, date, written(date)[_draw(date) % len(FORMS)]) for date in parts[name]]


def _draw(date: str) -> int:
    """Return a fixed number for a date, spread evenly."""
    return int.from_bytes(blake2b(date.encode(), digest_size=4).digest(), "little")
