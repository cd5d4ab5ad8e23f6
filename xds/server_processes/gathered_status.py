"""The status of clients (CSDS) of all server processes but the one that asks."""

from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import count

from xds.server_processes.messages import AskStatus, OtherStatusIs, StatusIs, TellStatus, encode
from xds.server_processes.shared_view import Receiver


@dataclass(slots=True)
class _Question:
    """A question of one process, and the others whose answers are awaited."""

    asker: Receiver
    ask: int
    awaited: set[Receiver]
    parts: list[bytes | None] = field(default_factory=list)


class GatheredStatus:
    """Asks all others what one process asks, and gives it their answers as one."""

    def __init__(self) -> None:
        self._numbers = count()
        # By number, those that some process has not answered. Written by ``ask``, cleared when all have.
        self._questions: dict[int, _Question] = {}

    def ask(self, asker: Receiver, message: AskStatus, others: Collection[Receiver]) -> None:
        """Pass a question on to the others."""
        number = next(self._numbers)
        self._questions[number] = _Question(asker, message.ask, set(others))
        for other in others:
            other.send(encode(TellStatus(number, message.request)))
        self._answer_if_complete(number)

    def take(self, other: Receiver, message: StatusIs) -> None:
        """Take the answer of one of them."""
        if question := self._questions.get(message.ask):
            question.awaited.discard(other)
            question.parts.append(message.response)
            self._answer_if_complete(message.ask)

    def drop(self, gone: Receiver) -> None:
        """Forget a process that is gone: it has no clients any more."""
        for number, question in tuple(self._questions.items()):
            question.awaited.discard(gone)
            self._answer_if_complete(number)

    def _answer_if_complete(self, number: int) -> None:
        question = self._questions[number]
        if not question.awaited:
            del self._questions[number]
            known = [part for part in question.parts if part is not None]
            whole = b"".join(known) if len(known) == len(question.parts) else None
            question.asker.send(encode(OtherStatusIs(question.ask, whole)))
