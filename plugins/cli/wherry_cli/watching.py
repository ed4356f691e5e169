"""Watching what containers use: a thread reads each container's samples, one more which containers come and go."""

from __future__ import annotations

import threading
from contextlib import contextmanager, suppress

from wherry_cli.commands._common import path_name
from wherry_cli.output.figures import Usage
from wherry_client.errors import ApiError, CannotConnect, ClientError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wherry_cli.app import App

NEWS = '{"type":{"container":true},"event":{"create":true,"start":true,"die":true,"destroy":true}}'


class Watch:
    """The rows as they are now. `error` is set when the engine does not answer any more; no row changes then."""

    def __init__(self, app: App, *, everything: bool) -> None:
        self._app = app
        self._all = everything
        self._changed = threading.Condition()
        self._rows: list[Usage] = []
        self._waiting = 0  # rows whose first sample is on its way
        self.error: ClientError | None = None

    def name(self, words: Sequence[str]) -> None:
        """Watch the containers of these names. Raises ApiError if one does not exist."""
        for word in words:
            self._app.client.call("GET", f"/containers/{path_name(word)}/json")
        for word in reversed(words):
            self._add(word)

    def follow(self) -> None:
        """Watch those that run (or all) now and from now on."""
        news = self._app.new_client().request("GET", "/events", {"filters": NEWS})  # first, so that none is missed
        for found in reversed(self._app.client.call("GET", "/containers/json", {"all": self._all})):
            self._add(found["Id"], short=True)

        def listen() -> None:
            with self._failing():
                for event in news.objects():
                    self._happened(event["Action"], event["Actor"]["ID"])
                raise CannotConnect("the engine has ended")

        threading.Thread(target=listen, daemon=True).start()

    def rows(self) -> list[Usage]:
        """What there is to show: the containers in the order of their names' asking, else the newest first."""
        with self._changed:
            return list(self._rows)

    def wait(self, timeout: float) -> None:
        """Until each container has shown a first sample, or the time is over, or there is an error."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting or self.error is not None, timeout)

    def _happened(self, action: str, id: str) -> None:
        if action == "start" or (action == "create" and self._all):
            self._add(id, short=True)
        elif action == "destroy" or (action == "die" and not self._all):
            self._drop(id)

    def _add(self, word: str, *, short: bool = False) -> None:
        row = Usage(word[:12] if short else word, word if short else "")
        with self._changed:
            if short and any(each.id == word for each in self._rows):
                return
            self._rows.insert(0, row)
            self._waiting += 1
        threading.Thread(target=self._read, args=(row, word), daemon=True).start()

    def _drop(self, id: str) -> None:
        with self._changed:
            self._rows = [each for each in self._rows if each.id != id]

    def _read(self, row: Usage, word: str) -> None:
        first = True
        with self._failing(), suppress(ApiError):  # it was removed before we could ask
            for sample in self._app.new_client().request("GET", f"/containers/{path_name(word)}/stats").objects():
                with self._changed:
                    row.id, row.sample = sample["id"], sample
                    self._waiting -= first
                    first = False
                    self._changed.notify_all()
        with self._changed:
            self._waiting -= first
            self._rows = [each for each in self._rows if each is not row]
            self._changed.notify_all()

    @contextmanager
    def _failing(self) -> Iterator[None]:
        """What goes wrong with a connection in the body is everybody's error."""
        try:
            yield
        except ClientError as error:
            self._fail(error)
        except OSError as error:
            self._fail(CannotConnect(f"the connection to the engine broke: {error.strerror}"))

    def _fail(self, error: ClientError) -> None:
        with self._changed:
            self.error = self.error or error
            self._changed.notify_all()
