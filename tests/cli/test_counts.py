"""Numbers on the command line: a sentence for each that nobody means, before anything is read or spent."""

import pytest
from click.testing import CliRunner

from dlmone.cli import main

#: Every whole number of a command; the command's other words name nothing that exists.
COUNTS = [
    ("generate", "--samples"),
    ("generate", "--steps"),
    ("generate", "--candidates"),
    ("generate", "--batch"),
    ("generate", "--seed"),
    ("serve", "--port"),
    ("serve", "--steps"),
    ("serve", "--batch"),
    ("serve", "--queue"),
    ("serve", "--texts"),
    ("serve", "--threads"),
    ("bench", "--steps"),
    ("bench", "--batch"),
    ("bench", "--runs"),
    ("bench", "--threads"),
    ("evaluate", "--bootstrap"),
    ("ablate", "--seeds"),
    ("ablate", "--passes"),
    ("ablate", "--seed"),
    ("run", "--seed"),
    ("check", "--seed"),
    ("pretrain", "--seed"),
]
WRONG = ["1" + "0" * 20, "9" * 5000, "nan", "inf", "1e9", "1.5", "", "x", "-" + "9" * 30]


@pytest.mark.parametrize(("command", "option"), COUNTS)
def test_a_number_that_nobody_means(command, option):
    for value in WRONG:
        result = CliRunner().invoke(main, [command, "nothing", option, value])
        [line] = result.stderr.splitlines()
        assert result.exit_code == 2
        assert line.startswith(f"error: Invalid value for '{option}': "), line
        assert len(line) < 700


@pytest.mark.parametrize(("command", "option"), [one for one in COUNTS if "seed" not in one[1]])
def test_a_number_below_the_least(command, option):
    result = CliRunner().invoke(main, [command, "nothing", option, "-1"])
    assert result.exit_code == 2
    assert f"Invalid value for '{option}'" in result.stderr


def test_every_whole_number_of_every_command_is_here():
    import click

    context = click.Context(main)
    commands = {name: main.get_command(context, name) for name in main.list_commands(context)}
    found = {
        (name, option.opts[-1])
        for name, command in commands.items()
        for option in command.params
        if isinstance(option.type, click.types.IntParamType) or option.type.name == "numbers"
    }
    assert found == {*COUNTS}
