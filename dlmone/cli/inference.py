"""Define the options that commands which run a model share."""

import click

from .counts import CALLS

steps_option = click.option(
    "--steps", type=CALLS, help="[default: the student's number in training; 20 for a teacher]"
)
device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
precision_option = click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16", "auto"]),
    default="float32",
    show_default=True,
    help="In float32 no output depends on its batch; bfloat16 is faster where the hardware has it.",
)
