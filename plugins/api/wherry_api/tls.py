"""TLS for the API: who may connect, and connections that can be half-closed.

asyncio ends a TLS connection altogether when the peer says that it sends no more (close_notify), which cuts off the output
of `docker run -i` or `exec -i` over TCP as soon as their input ends. TLS 1.3 allows one direction to go on (RFC 8446, 6.1), and
`HalfClosing` lets it: the protocol above decides, as it does for plain sockets. It relies on internals of asyncio.sslproto
that are the same in CPython 3.11 to 3.14; a test carries a stream past its client's end of input.
"""

from __future__ import annotations

import ssl
from asyncio import sslproto
from typing import Any

from wherry.errors import Invalid
from wherry_engine.daemon.config import Tls


def server_context(tls: Tls) -> ssl.SSLContext:
    """The context to serve with; with `verify`, only clients whose certificate the CA has signed get in. Raises `Invalid`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(tls.cert, tls.key)
        if tls.verify:
            context.load_verify_locations(tls.ca)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        files = f"{tls.cert}, {tls.key}" + (f" or {tls.ca}" if tls.verify else "")
        raise Invalid(f"TLS cannot be served: one of {files} is missing or no PEM file of its kind: {error}") from error
    return context


_SSLProtocol: Any = sslproto.SSLProtocol  # typeshed leaves its internals out


class HalfClosing(_SSLProtocol):  # type: ignore[misc]
    """A TLS connection whose writing goes on after the peer's close_notify, if the protocol above wants that."""

    _app_state: sslproto.AppProtocolState
    _half = False

    def _on_handshake_complete(self, error: BaseException | None) -> None:
        if error is not None and self._transport is not None:
            self._process_outgoing()  # the alert that tells a client why; asyncio would drop it
        super()._on_handshake_complete(error)

    def _call_eof_received(self) -> None:
        if self._app_state == sslproto.AppProtocolState.STATE_CON_MADE:
            self._app_state = sslproto.AppProtocolState.STATE_EOF
            self._half = bool(self._app_protocol.eof_received())

    def _start_shutdown(self, *arguments: object) -> None:
        if self._half:  # asyncio's reaction to the close_notify; a second call is our own close
            self._half = False
            return
        super()._start_shutdown(*arguments)

    def eof_received(self) -> bool | None:
        """The end of TCP, which follows the close_notify at once: nothing new."""
        if self._app_state == sslproto.AppProtocolState.STATE_EOF and self._state == sslproto.SSLProtocolState.WRAPPED:
            return True
        ended: bool | None = super().eof_received()
        return ended

    def _do_read(self) -> None:
        if self._app_state != sslproto.AppProtocolState.STATE_EOF:
            super()._do_read()
