"""What can go wrong between a client and an engine."""

from __future__ import annotations


class ClientError(Exception):
    """Base of this package's errors; the text is for a person."""


class HostInvalid(ClientError):
    """The address of an engine cannot be understood, or not served by this client."""


class CannotConnect(ClientError):
    """Nothing answers at the engine's address, or it hung up in the middle of an answer."""


class ApiError(ClientError):
    """The engine's own refusal: `status` is HTTP's, `message` the engine's text."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"Error response from daemon: {message}")
        self.status = status
        self.message = message
