"""aiohttp's server, imported without what its client reads meanwhile.

Importing aiohttp makes the TLS context of its client, for which OpenSSL reads every certificate of the host: 2 MiB of
memory and 20 ms at each start, for a client that nothing here uses.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_PLACES = ("SSL_CERT_FILE", "SSL_CERT_DIR")  # openssl-env(7)


@contextmanager
def _no_certificates() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _PLACES}
    os.environ.update(dict.fromkeys(_PLACES, os.devnull))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


with _no_certificates():
    from aiohttp import web

__all__ = ["web"]
