"""What went wrong, said in one sentence, with the exit code the command line gives it."""


class DlmoneError(Exception):
    """A failure a user can act on: its text is one clear sentence, shown without a traceback."""

    exit_code = 1


class InputError(DlmoneError):
    """Bad usage, a bad recipe or bad data: the sentence names the file, the place and what was expected."""

    exit_code = 2


class PluginError(DlmoneError):
    """A plugin that is missing, broken, or claims a name that another one holds."""

    exit_code = 3
