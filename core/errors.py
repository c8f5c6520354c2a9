"""Errors with a one-sentence message and the exit code of the command line."""


class DlmoneError(Exception):
    """An error that the user can act on: its text is one clear sentence, shown without a traceback."""

    exit_code = 1


class InputError(DlmoneError):
    """Bad usage, a bad recipe or bad data: the sentence names the file, the place and what was expected."""

    exit_code = 2


class MissingError(InputError):
    """What is asked for is not on this machine: data, weights, a device. `dlmone check` only lists it."""


class PluginError(DlmoneError):
    """A plugin that is missing, broken, or claims a name that another one holds."""

    exit_code = 3
