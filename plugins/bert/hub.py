"""Ask quickly whether the Hugging Face hub can be reached: its own library tries for a minute."""

import os
import socket
from urllib.parse import urlsplit
from urllib.request import getproxies

#: Where the hub is, and the variable that names a mirror.
HUB, MIRROR = "https://huggingface.co", "HF_ENDPOINT"
#: Seconds to wait for an answer.
PATIENCE = 5


def is_offline() -> bool:
    """Tell whether the hub cannot be reached from here, so that only what is cached can be loaded.

    Behind a proxy only a request could tell, so the answer there is no.
    """
    if {"https", "all"} & getproxies().keys():
        return False
    try:
        hub = urlsplit(os.environ.get(MIRROR) or HUB)
        port = hub.port or (80 if hub.scheme == "http" else 443)
        socket.create_connection((hub.hostname or "", port), timeout=PATIENCE).close()
    except (OSError, ValueError):
        return True
    return False
