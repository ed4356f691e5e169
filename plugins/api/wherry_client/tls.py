"""TLS to an engine, as a plain socket: a thread encrypts between that and the real one.

So the rest of the client needs to know nothing of it, and a half-closed stream works: the `ssl` module's own sockets cannot
say that they send no more (close_notify) and still read on, its objects over memory can (RFC 8446, 6.1).
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import ssl
import threading

from wherry_client.errors import CannotConnect, HostInvalid

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_READ = 1 << 16


class Tls:
    """What to show to an engine, and whether its own certificate is checked."""

    __slots__ = ("ca", "cert", "key", "verify")

    def __init__(self, *, verify: bool, ca: str, cert: str, key: str) -> None:
        self.verify = verify
        self.ca = ca
        self.cert = cert
        self.key = key

    def context(self) -> ssl.SSLContext:
        """The context to connect with. Raises HostInvalid for certificates that cannot be used."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if self.verify:
                context.load_verify_locations(self.ca)
            else:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.verify or (os.path.exists(self.cert) and os.path.exists(self.key)):
                context.load_cert_chain(self.cert, self.key)
        except OSError as error:
            raise HostInvalid(
                f"TLS needs {self.ca}, {self.cert} and {self.key}: one of them is missing or no PEM file of its kind "
                f"({error}); --tlscacert, --tlscert, --tlskey and DOCKER_CERT_PATH name others"
            ) from error
        return context


def files_in(environment: Mapping[str, str]) -> tuple[str, str, str]:
    """The files of the CA, of the certificate and of its key, unless flags name others."""
    folder = environment.get("DOCKER_CERT_PATH") or os.path.expanduser("~/.docker")
    return f"{folder}/ca.pem", f"{folder}/cert.pem", f"{folder}/key.pem"


def secure(plain: socket.socket, name: str, tls: Tls) -> tuple[socket.socket, Callable[[], str]]:
    """Shake hands over a connected socket: the near end of the encrypted stream, and what tells why that has ended early.

    Raises CannotConnect.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    stream = tls.context().wrap_bio(incoming, outgoing, server_hostname=name)
    try:
        while True:
            try:
                stream.do_handshake()
                break
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                data = plain.recv(_READ)
                if data:
                    incoming.write(data)
                else:
                    incoming.write_eof()
        plain.sendall(outgoing.read())
    except OSError as error:  # ssl's errors are some
        raise CannotConnect(f"the engine's TLS at {name} failed: {error}") from error
    near, far = socket.socketpair()
    pump = _Pump(plain, far, stream, incoming, outgoing)
    pump.start()
    return near, lambda: pump.trouble


class _Pump(threading.Thread):
    """Carries bytes until both directions have ended."""

    def __init__(
        self, plain: socket.socket, far: socket.socket, stream: ssl.SSLObject, incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
    ) -> None:  # fmt: skip
        super().__init__(name="tls", daemon=True)
        self._plain, self._far = plain, far
        self._stream, self._incoming, self._outgoing = stream, incoming, outgoing
        self.trouble = ""

    def run(self) -> None:
        with self._plain, self._far:
            try:
                self._carry()
            except OSError as error:  # the user of the near end sees that it ends, and may ask for the reason
                self.trouble = str(error)

    def _carry(self) -> None:
        watched = [self._plain, self._far]
        self._pass_in()  # said by the engine together with its handshake
        while self._plain in watched:
            readable, _, _ = select.select(watched, [], [])
            if self._far in readable and not self._send():
                watched.remove(self._far)
            if self._plain in readable and not self._receive():
                watched.remove(self._plain)

    def _send(self) -> bool:
        """One piece from the user; False when there will be no more, which the engine is told."""
        data = self._far.recv(_READ)
        if data:
            self._stream.write(data)
        else:
            with contextlib.suppress(ssl.SSLWantReadError):  # the engine's own end comes later
                self._stream.unwrap()
        self._plain.sendall(self._outgoing.read())
        return bool(data)

    def _receive(self) -> bool:
        data = self._plain.recv(_READ)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
        return self._pass_in()

    def _pass_in(self) -> bool:
        """Give the user all that is there; False at the engine's end."""
        with contextlib.suppress(ssl.SSLWantReadError):
            while data := self._stream.read(_READ):
                self._far.sendall(data)
            self._far.shutdown(socket.SHUT_WR)
            return False
        return True
