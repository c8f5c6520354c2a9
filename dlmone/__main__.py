"""``dlmone`` and ``python -m dlmone``."""


def main() -> None:
    """Run the command line. Ctrl-C while it is being imported is answered as later on."""
    try:
        from dlmone.cli import main as command_line

        command_line()
    except KeyboardInterrupt:
        import os
        import sys

        if sys.stderr:
            print("interrupted", file=sys.stderr, flush=True)
        os._exit(130)  # what is half imported cannot be cleaned up


if __name__ == "__main__":
    main()
