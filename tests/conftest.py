"""What the tests share: the toy teacher, in the precision that finite differences need."""

import pytest

from dlmone.testing import ToyTeacher, toy_teacher


@pytest.fixture(scope="session")
def toy() -> ToyTeacher:
    """φ in float64, frozen; tests copy it and leave it as it is."""
    return toy_teacher().double()
