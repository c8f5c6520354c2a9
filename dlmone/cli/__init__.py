"""Define the command line; its commands are in `commands`."""

import click

from .shell import Settings, Shell
from .verbosity import with_verbosity

COMMANDS = (
    "run",
    "check",
    "ablate",
    "pretrain",
    "convert",
    "export",
    "push",
    "pull",
    "generate",
    "serve",
    "evaluate",
    "bench",
    "report",
    "plugins",
    "recipes",
    "env",
)


@click.group(
    cls=Shell,
    commands_of=(f"{__name__}.commands", COMMANDS),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="dlmone", message="%(prog)s %(version)s")
@click.option("--traceback", is_flag=True, envvar="DLMONE_TRACEBACK", help="Show the traceback of an error.")
@with_verbosity
@click.pass_context
def main(context: click.Context, traceback: bool) -> None:
    """Distil diffusion language models into one-step text generators.

    \b
    dlmone run qqp                       a toy run of the whole method, 16 minutes on two cores
    dlmone check qqp --profile paper     time and memory at the paper's setting
    dlmone generate MODEL "how are you?" sample from a student or a teacher
    """
    context.ensure_object(Settings).traceback = traceback
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
