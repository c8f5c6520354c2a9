"""A made-up run that is whole, and its page; tests leave the run's own files as they are."""

import pytest

from .runs import make_run, report


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture(scope="session")
def page(run, tmp_path_factory):
    return report(run, "-o", tmp_path_factory.mktemp("page") / "page.html")
