"""What one server process asks of the clients of all others."""

from xds.server_processes.gathered_status import GatheredStatus
from xds.server_processes.messages import AskStatus, Down, OtherStatusIs, StatusIs, TellStatus, decode_down


class Process:
    """A server process that keeps what it is sent."""

    def __init__(self) -> None:
        self.sent: list[Down] = []

    congested = False

    async def drained(self) -> None:
        """It reads at once."""

    def send(self, message: bytes) -> None:
        self.sent.append(decode_down(message))

    @property
    def asked(self) -> int:
        """The number of the question that it was asked last."""
        question = self.sent[-1]
        assert isinstance(question, TellStatus)
        return question.ask


def asked(others: int) -> tuple[GatheredStatus, Process, list[Process]]:
    gathered, asker = GatheredStatus(), Process()
    processes = [Process() for _ in range(others)]
    gathered.ask(asker, AskStatus(5, b"request"), [*processes])
    return gathered, asker, processes


def test_the_answers_of_all_others_come_as_one() -> None:
    gathered, asker, (one, two) = asked(2)
    assert one.sent == two.sent == [TellStatus(one.asked, b"request")]
    gathered.take(one, StatusIs(one.asked, b"1"))
    assert not asker.sent
    gathered.take(two, StatusIs(two.asked, b"2"))
    assert asker.sent == [OtherStatusIs(5, b"12")]


def test_without_others_the_answer_is_empty() -> None:
    _, asker, _ = asked(0)
    assert asker.sent == [OtherStatusIs(5, b"")]


def test_one_that_ends_is_not_waited_for() -> None:
    gathered, asker, (one, two) = asked(2)
    gathered.take(one, StatusIs(one.asked, b"1"))
    gathered.drop(two)
    assert asker.sent == [OtherStatusIs(5, b"1")]
    gathered.take(two, StatusIs(two.asked, b"2"))
    assert len(asker.sent) == 1, "it comes too late"


def test_what_is_too_large_is_not_left_out_in_silence() -> None:
    gathered, asker, (one, two) = asked(2)
    gathered.take(one, StatusIs(one.asked, None))
    gathered.take(two, StatusIs(two.asked, b"2"))
    assert asker.sent == [OtherStatusIs(5, None)]
