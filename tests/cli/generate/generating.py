"""`dlmone generate` as tests call it."""

from click.testing import CliRunner

from dlmone.cli import main

SOURCES = ["how do i learn ?", "what is it ?", "how is it ?"]


def generate(*args, **extra):
    return CliRunner().invoke(main, ["generate", *map(str, args)], **extra)


def lines(result):
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()
