"""Locate the folders of the shipped models."""

from pathlib import Path

HERE = Path(__file__).parent


def qqp_compact() -> Path:
    return HERE / "qqp-compact"


def qqp_compact_teacher() -> Path:
    return HERE / "qqp-compact-teacher"
