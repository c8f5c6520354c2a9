"""Parse JSON, and say in a sentence what is wrong with it."""

import json
from typing import Any


def parse_json(text: str | bytes) -> Any:
    """Return the value of a JSON text.

    Raises:
        ValueError: it is not UTF-8 or not JSON, is nested too deeply, or has a number that is too long; the
            message is a part of a sentence.
    """
    try:
        return json.loads(text if isinstance(text, str) else text.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}" if error.lineno > 1 else f"column {error.colno}"
        raise ValueError(f"malformed JSON at {place} ({error.msg})") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
    except ValueError:  # Python reads no whole numbers of thousands of digits
        raise ValueError("JSON with a number of too many digits") from None
