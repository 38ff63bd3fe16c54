"""Running code in one of a session's interpreters."""

from __future__ import annotations

import json
import signal
import time
from typing import TYPE_CHECKING, Any, cast

from . import files, interpreters
from .activity import Activity, receive
from .wire import Message

if TYPE_CHECKING:
    import socket
    from collections.abc import Container

    from .session import Session

_GRACE_SECONDS = 1.0  # between the interrupt and the kill
_LOOK_SECONDS = 0.01  # between two looks whether it can be interrupted
_MOST_DISPLAYS = 200
_MOST_DISPLAY_BYTES = 48 * 1024**2
_LONGEST_TEXT = 100_000  # of an error; the kernel cuts earlier, unless it lies
_LONGEST_VALUE = 4_000_000  # the same; twelve bytes for each character still fit into a frame


class Run(Activity):
    """Code in an interpreter."""

    def __init__(self, session: Session, message: Message, body: bytes) -> None:
        super().__init__(session, message)
        language = message["language"]
        self._list: Message | None = message.get("list")
        self._lost_before = session.has_lost(language)
        self._interpreter = session.interpreter(language)
        self.child = self._interpreter.child
        self._displays = 0
        self._display_bytes = 0
        self._left_out = 0
        self._channel_open = True
        self._is_heard = True
        # When it is too late for the interrupt that it could not be given yet.
        self._interrupt_until = 0.0
        self.child.unsent = memoryview(self._interpreter.ask(body.decode(), message))
        self.child.push()

    def cancel(self) -> None:
        """The host reads the answer no more: what was lost is for the next one to tell."""
        self._is_heard = False
        if not self._stopped:  # else it is about to end as it should, and has a deadline for that
            super().cancel()

    def readers(self) -> list[int | socket.socket]:
        return [*self.child.outputs, *([self.child.connection] if self._channel_open else [])]

    def writers(self) -> list[int | socket.socket]:
        return [self.child.connection] if self.child.unsent and self._channel_open else []

    def handle(self, ready: Container[int | socket.socket]) -> None:
        self.child.push()
        if self._channel_open and self.child.connection in ready:
            self._receive()
        if not self.finished:
            super().handle(ready)

    def _receive(self) -> None:
        try:
            data = receive(self.child.connection)
        except BlockingIOError:
            return  # there was room to write to it, that is all
        if not data:
            # It is about to end, and then its status says how; or user code closed our channel. Beyond its deadline,
            # too: what the kernel kills for its CPU time is most often about to reach that as well.
            self._channel_open = False
            self.deadline = time.monotonic() + _GRACE_SECONDS
            return
        try:
            for message in self._interpreter.answers(data):
                if message["t"] == "display":
                    self._display(message)
                else:
                    self._done(message)
                    return
        except (interpreters.Forged, RecursionError):
            self._end_interpreter("forged")

    def _display(self, message: Message) -> None:
        data = json.dumps(message.get("data")).encode()
        self._displays += 1
        self._display_bytes += len(data)
        if self._displays > _MOST_DISPLAYS or self._display_bytes > _MOST_DISPLAY_BYTES:
            self._left_out += 1
            return
        # As a body: the host parses what user code says only where it is prepared for anything.
        frame = {"t": "display", "id": self.number, "main": bool(message.get("main"))}
        self.session.send(frame, data)

    def _done(self, message: Message) -> None:
        error = _plain_error(message.get("error"))
        if message.get("broken"):
            self._end_interpreter("", error)
            return
        self.child.drain(self._output)
        if self._stopped:
            spared = self.child.pid
            if not self.session.kill_started_since(self._began_ticks, spared=spared):
                self._end_interpreter(self._stopped, error)
                return
        self._answer(error, self._stopped, said=message)

    def _answer(
        self,
        error: Any,
        how: str,
        *,
        status: int | None = None,
        said: Message | None = None,
    ) -> None:
        answer = {
            "how": how,
            "error": error,
            "status": status,
            "displays_left_out": self._left_out,
        }
        details = _plain_details(said or {})
        language = self._interpreter.name
        loss = {"lost": self.session.has_lost(language), "lost_before": self._lost_before}
        if self._is_heard:
            self.session.told_loss(language)
        listing = files.serve({"op": "list", **self._list}, b"")[0] if self._list else {}
        self._finish({**answer, **details, **loss, "entries": listing.get("entries")})

    def _child_ended(self) -> None:
        self._end_interpreter("ended")

    def _end_interpreter(self, how: str, error: Message | None = None) -> None:
        """The interpreter is dead or must die; either way its variables are gone."""
        if not self._ends_alone():
            self.session.kill_all()
            self.child.drain(self._output)
            self.session.forget_interpreters()
        self._answer(error, self._stopped or how, status=self.child.status)

    def _ends_alone(self) -> bool:
        """Whether those of other languages could be spared: nothing but its time is the matter with this one."""
        if not self._stopped or self._interpreter.soft_interrupt or not self._channel_open:
            return False
        self.child.signal(signal.SIGKILL)
        if not self.session.kill_started_since(self._began_ticks, spared=0):
            return False
        self.child.drain(self._output)
        self.session.forget_interpreter(self._interpreter.name)
        return True

    def _stop(self, why: str) -> None:
        if not self._channel_open:
            self._end_interpreter("channel_closed")
        elif not self._stopped and self._interpreter.soft_interrupt and self.child.pid:
            self._stopped = why
            self._interrupt()
        elif why == "timed_out" and time.monotonic() < self._interrupt_until:
            self._interrupt_again()
        else:
            self._stopped = self._stopped or why
            self._end_interpreter(self._stopped)

    def _interrupt(self) -> None:
        self.deadline = time.monotonic() + _GRACE_SECONDS
        is_deaf = self.child.is_ignoring(signal.SIGINT)
        self.child.signal_group(signal.SIGINT)
        if is_deaf:
            # It has not come to the code yet, or waits for a command as system(3) does, which the signal has ended.
            self._interrupt_until = self.deadline
            self.deadline = time.monotonic() + _LOOK_SECONDS

    def _interrupt_again(self) -> None:
        if self.child.is_ignoring(signal.SIGINT):
            self.deadline = time.monotonic() + _LOOK_SECONDS
        else:
            self.child.signal(signal.SIGINT)
            self._interrupt_until, self.deadline = 0.0, self._interrupt_until


def _plain_error(error: Any) -> Message | None:
    """What an interpreter said of an exception, as what the host expects it to be.

    Raises Forged if it is nothing of the kind.
    """
    if error is None:
        return None
    if not isinstance(error, dict):
        raise interpreters.Forged("no error")
    said = cast("Message", error)
    line = said.get("line")
    texts = {key: str(said.get(key, ""))[:_LONGEST_TEXT] for key in ("name", "value", "traceback")}
    return {**texts, "line": line if isinstance(line, int) else None}


def _plain_details(said: Message) -> Message:
    kinds = {"value": str, "cpu": (int, float), "peak": (int, float)}
    details = {key: said[key] for key, kind in kinds.items() if isinstance(said.get(key), kind)}
    if "value" in details:
        details["value"] = details["value"][:_LONGEST_VALUE]
    return details
