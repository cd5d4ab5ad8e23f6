"""Which version of a service the proxies are sent, whatever they answer, and over restarts."""

import shutil
from pathlib import Path

import pytest

from tests.unit.pipeline.proxies import FakeValidator, Proxy, World, running
from xds.cache import Ref
from xds.rules.instance import ServiceId
from xds.status import VALIDATION, DocumentState
from xds.type_urls import LISTENER, ROUTE
from xds.views import Stage

A = ServiceId("", "a")
OLD, BAD, NEW = "old.example.com", "bad.example.com", "new.example.com"


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "kept.sqlite"


def copy_of(kept: Path, directory: Path) -> Path:
    """Copy what is on disk now, as a kill would leave it."""
    directory.mkdir()
    for file in kept.parent.glob(f"{kept.name}*"):
        shutil.copy(file, directory)
    return directory / kept.name


async def until_sent(world: World, proxy: Proxy, *hosts: str) -> None:
    await world.until(lambda: proxy.is_sent() == sorted(hosts))


async def quarantine(world: World) -> Proxy:
    """Have a proxy take one version of a service and reject the next."""
    proxy = world.proxy(rejects={BAD})
    proxy.answer()
    world.write(a=BAD)
    await until_sent(world, proxy, BAD)
    proxy.answer()
    await until_sent(world, proxy, OLD)
    return proxy


class TestQuarantine:
    async def test_what_a_proxy_rejects_is_served_to_nobody_and_told(self, kept: Path) -> None:
        async with running(kept) as world:
            await world.start(a=OLD)
            proxy = await quarantine(world)
            status = world.document("a")
            assert status.state is DocumentState.QUARANTINED
            assert status.quarantine
            assert (status.quarantine.node, status.quarantine.reason) == ("edge-1", f"bad host {BAD}")
            assert (status.quarantine.line, status.quarantine.at) == (1, world.now)
            assert not status.quarantine.before_push
            other = world.proxy("edge-2")
            assert other.is_sent() == [OLD]
            other.leave()
            proxy.answer()
            world.write(a=NEW)
            await until_sent(world, proxy, NEW)
            assert world.document("a").quarantine is None
            proxy.answer()
            assert world.document("a").state is DocumentState.PROGRAMMED

    async def test_after_a_restart_it_is_still_served_to_nobody(self, kept: Path) -> None:
        async with running(kept) as world:
            await world.start(a=OLD)
            await quarantine(world)
            told = world.document("a").quarantine
        for _ in range(2):
            async with running(kept) as world:
                await world.start(a=BAD)
                assert world.proxy("edge-2").is_sent() == [OLD]
                assert world.document("a").quarantine == told
        async with running(kept) as world:
            await world.start(a=NEW)
            assert world.proxy("edge-2").is_sent() == [NEW]
            assert world.document("a").quarantine is None
        async with running(kept) as world:
            await world.start(a=BAD)
            assert world.proxy("edge-2").is_sent() == [BAD], "it was lifted; who knows, it may be taken now"

    async def test_after_a_restart_a_rejection_falls_back_to_what_was_acknowledged_before(
        self, kept: Path
    ) -> None:
        async with running(kept) as world:
            await world.start(a=OLD)
            world.proxy().answer()
            await world.settle()
        async with running(kept) as world:
            await world.start(a=BAD)
            proxy = world.proxy(rejects={BAD})
            assert proxy.is_sent() == [BAD]
            proxy.answer()
            await until_sent(world, proxy, OLD)
            served = world.document("a").quarantine
            assert served
            assert served.served is not None

    @pytest.mark.parametrize(
        ("unmended", "counts"), [({Ref(ROUTE, "edge")}, False), ({Ref(LISTENER, "edge")}, True)]
    )
    async def test_who_rejected_routes_acknowledges_nothing_and_of_listeners_nothing_follows(
        self, kept: Path, unmended: set[Ref], counts: bool
    ) -> None:
        async with running(kept) as world:
            await world.start(a=OLD)
            world.proxy().answer(unmended)
            world.write(a=BAD)
            second = world.proxy("edge-2", rejects={BAD})
            await until_sent(world, second, BAD)
            second.answer()
            await until_sent(world, second, *([OLD] if counts else []))

    async def test_of_several_suspects_the_one_at_fault_is_found(self, kept: Path) -> None:
        async with running(kept) as world:
            names = ("a", "b", "c", "d")
            await world.start(**{name: f"{name}.old.example.com" for name in names})
            proxy = world.proxy(rejects={"c.new.example.com"})
            proxy.answer()
            world.write(**{name: f"{name}.new.example.com" for name in names})
            await world.settle()
            good = [f"{name}.new.example.com" for name in "abd"]

            def answered() -> bool:
                proxy.answer()
                return proxy.is_sent() == sorted([*good, "c.old.example.com"])

            await world.until(answered)
            assert world.document("c").quarantine
            assert [world.document(name).quarantine for name in "abd"] == [None] * 3

    async def test_many_who_reject_the_same_blame_nobody_else(self, kept: Path) -> None:
        async with running(kept) as world:
            names = ("a", "b", "c", "d")
            await world.start(**{name: f"{name}.old.example.com" for name in names})
            proxies = [world.proxy(f"edge-{number}", rejects={"c.new.example.com"}) for number in range(4)]
            for proxy in proxies:
                proxy.answer()
            world.write(**{name: f"{name}.new.example.com" for name in names})
            await until_sent(world, proxies[0], *(f"{name}.new.example.com" for name in names))
            good = [f"{name}.new.example.com" for name in "abd"]

            def answered() -> bool:
                for proxy in proxies:
                    proxy.answer()
                return proxies[0].is_sent() == sorted([*good, "c.old.example.com"])

            await world.until(answered)
            await world.settle()
            quarantined = [name for name in names if world.document(name).quarantine]
            assert quarantined == ["c"]

    async def test_suspects_are_served_again_when_nobody_is_left_to_tell(self, kept: Path) -> None:
        async with running(kept) as world:
            await world.start(a="a.example.com", b="b.example.com")
            proxy = world.proxy(rejects={"a.example.com"})
            proxy.answer()
            await world.until(lambda: len(proxy.is_sent()) == 1)
            proxy.leave()
            other = world.proxy("edge-2")
            await world.settle()
            assert len(other.is_sent()) == 1
            world.now += 16
            await until_sent(world, other, "a.example.com", "b.example.com")

    async def test_a_service_that_is_gone_takes_its_quarantine_with_it(self, kept: Path) -> None:
        async with running(kept) as world:
            await world.start(a=OLD)
            proxy = await quarantine(world)
            world.write(a=None)
            await until_sent(world, proxy)
            await world.settle()
        async with running(kept) as world:
            await world.start(a=BAD)
            assert world.proxy("edge-2").is_sent() == [BAD]


STAGES = (Stage(count=1, soak=100.0),)
"""One proxy gets changes first, for 100 s."""


async def push_to_both(world: World, first: Proxy, other: Proxy, host: str) -> None:
    """Push a change to the first proxy and, once it has had it for long enough, to the other."""
    world.write(a=host)
    await until_sent(world, first, host)
    first.answer()
    await world.settle()
    world.now += 101
    await until_sent(world, other, host)
    other.answer()


class TestStages:
    async def test_the_others_get_a_change_when_the_first_have_had_it_for_long_enough(
        self, kept: Path
    ) -> None:
        async with running(kept, stages=STAGES) as world:
            await world.start(a=OLD)
            first, other = world.proxy("first"), world.proxy("other")
            for proxy in (first, other):
                proxy.answer()
            world.write(a=NEW)
            await until_sent(world, first, NEW)
            assert other.is_sent() == [OLD]
            world.now += 1000
            await world.settle()
            assert other.is_sent() == [OLD], "the first has not taken it"
            first.answer()
            await world.settle()
            assert other.is_sent() == [OLD], "the first has it for no time"
            assert world.document("a").state is DocumentState.PROGRAMMING
            world.now += 101
            await until_sent(world, other, NEW)
            other.answer()
            assert world.document("a").state is DocumentState.PROGRAMMED

    async def test_what_the_first_reject_the_others_never_get(self, kept: Path) -> None:
        async with running(kept, stages=STAGES) as world:
            await world.start(a=OLD)
            first, other = world.proxy("first", rejects={BAD}), world.proxy("other")
            for proxy in (first, other):
                proxy.answer()
            world.write(a=BAD)
            await until_sent(world, first, BAD)
            first.answer()
            await until_sent(world, first, OLD)
            world.now += 1000
            await world.settle()
            assert other.is_sent() == [OLD]

    async def test_what_the_first_take_is_good_only_when_all_have_it(self, kept: Path) -> None:
        async with running(kept, stages=STAGES) as world:
            await world.start(a=OLD)
            first, other = world.proxy("first"), world.proxy("other", rejects={BAD})
            for proxy in (first, other):
                proxy.answer()
            await push_to_both(world, first, other, BAD)
            await until_sent(world, other, OLD)
            await until_sent(world, first, OLD)

    async def test_what_all_have_is_good_whatever_comes_after(self, kept: Path) -> None:
        async with running(kept, stages=STAGES) as world:
            await world.start(a=OLD)
            first, other = world.proxy("first"), world.proxy("other")
            for proxy in (first, other):
                proxy.answer()
            await push_to_both(world, first, other, NEW)
            await world.until(lambda: world.document("a").state is DocumentState.PROGRAMMED)
            await world.settle()
            first.rejects = {BAD}
            world.write(a=BAD)
            await until_sent(world, first, BAD)
            first.answer()
            await until_sent(world, first, NEW)

    async def test_a_restart_leaves_a_change_where_it_was(self, kept: Path) -> None:
        async with running(kept, stages=STAGES) as world:
            await world.start(a=OLD)
            world.register("a", 1)
            first, other = world.proxy("first"), world.proxy("other")
            for proxy in (first, other):
                proxy.answer()
            world.write(a=NEW)
            await until_sent(world, first, NEW)
            first.answer()
            await world.settle()
        async with running(kept, stages=STAGES) as world:
            await world.be_away()
            other, first = world.proxy("other"), world.proxy("first")
            assert (first.is_sent(), other.is_sent()) == ([NEW], [OLD])
            world.register("a", 2)
            await world.start(a=NEW)
            assert (first.is_sent(), other.is_sent()) == ([NEW], [OLD])
            assert (first.ports("a"), other.ports("a")) == ([2], [2])
            world.register("a", 3)
            await world.until(lambda: other.ports("a") == [3])
            assert (first.is_sent(), other.is_sent()) == ([NEW], [OLD])
            for proxy in (first, other):
                proxy.answer()
            await world.settle()
            assert other.is_sent() == [OLD]
            world.now += 101
            await until_sent(world, other, NEW)
            other.answer()
            await world.until(lambda: world.document("a").state is DocumentState.PROGRAMMED)
            await world.settle()
        async with running(kept, stages=STAGES) as world:
            await world.start(a=NEW)
            assert world.proxy("other").is_sent() == [NEW]

    async def test_a_kill_as_a_push_begins_leaves_it_where_it_was(self, kept: Path, tmp_path: Path) -> None:
        async with running(kept, stages=STAGES) as world:
            await world.start(a=OLD)
            first, other = world.proxy("first"), world.proxy("other")
            for proxy in (first, other):
                proxy.answer()
            await world.settle()
            world.write(a=NEW)
            await until_sent(world, first, NEW)
            killed = copy_of(kept, tmp_path / "killed")
        async with running(killed, stages=STAGES) as world:
            await world.be_away()
            other, first = world.proxy("other"), world.proxy("first")
            assert (first.is_sent(), other.is_sent()) == ([NEW], [OLD])

    async def test_an_edit_while_down_is_pushed_in_stages_too_if_one_was_under_way(self, kept: Path) -> None:
        async with running(kept, stages=STAGES) as world:
            await world.start(a=OLD, b="b.example.com")
            for proxy in (world.proxy("first"), world.proxy("other")):
                proxy.answer()
            world.write(a=BAD)
            await world.settle()
        async with running(kept, stages=STAGES) as world:
            await world.start(a=NEW, b="c.example.com")
            other, first = world.proxy("other"), world.proxy("first")
            assert first.is_sent() == ["c.example.com", NEW]
            assert other.is_sent() == ["c.example.com", OLD]

    async def test_the_first_are_awaited_after_a_restart(self, kept: Path) -> None:
        async with running(kept, stages=STAGES) as world:
            await world.start(a=OLD)
            for proxy in (world.proxy("first"), world.proxy("other")):
                proxy.answer()
            world.write(a=NEW)
            await world.settle()
        async with running(kept, stages=STAGES) as world:
            await world.start(a=NEW)
            other = world.proxy("other")
            other.answer()
            await world.settle()
            world.now += 59
            await world.settle()
            assert other.is_sent() == [OLD], "nobody of those that get changes first is back"
            world.now += 2
            await world.settle()
            world.now += 101
            await until_sent(world, other, NEW)


class TestValidation:
    async def test_what_is_refused_is_sent_to_nobody_and_told(self, kept: Path) -> None:
        validator = FakeValidator()
        async with running(kept, validator=validator) as world:
            await world.start(a=OLD)
            proxy = world.proxy()
            assert proxy.is_sent() == [OLD]
            proxy.answer()
            validator.refuses = {"a": f"bad host {BAD}"}
            world.write(a=BAD)
            await world.until(lambda: world.document("a").quarantine)
            assert proxy.is_sent() == [OLD]
            told = world.document("a").quarantine
            assert told
            assert (told.node, told.reason, told.line) == (VALIDATION, f"bad host {BAD}", 1)
            assert (told.before_push, told.at, told.origins[0].document.name) == (True, world.now, "a.yaml")
            assert told.served is not None
            validator.refuses = {}
            world.write(a=NEW)
            await until_sent(world, proxy, NEW)
            assert world.document("a").quarantine is None

    async def test_while_it_is_checked_what_is_in_force_is_served_with_its_instances(
        self, kept: Path
    ) -> None:
        validator = FakeValidator()
        async with running(kept, validator=validator) as world:
            await world.start(a=OLD)
            proxy = world.proxy()
            proxy.answer()
            assert world.document("a").state is DocumentState.PROGRAMMED
            validator.may_answer.clear()
            world.write(a=NEW)
            await world.until(lambda: len(validator.asked) == 2)
            world.register("a", 7)
            await world.until(lambda: proxy.ports("a") == [7])
            proxy.answer()
            assert (proxy.is_sent(), world.document("a").state) == ([OLD], DocumentState.PROGRAMMING)
            validator.may_answer.set()
            await until_sent(world, proxy, NEW)
            assert proxy.ports("a") == [7]
            proxy.answer()
            assert world.document("a").state is DocumentState.PROGRAMMED
            assert validator.asked == [["a"], ["a"]], "instances alone are not checked"

    async def test_a_version_that_is_taken_back_while_it_is_checked_is_never_served(self, kept: Path) -> None:
        validator = FakeValidator()
        async with running(kept, validator=validator) as world:
            await world.start(a=OLD)
            proxy = world.proxy()
            proxy.answer()
            validator.may_answer.clear()
            world.write(a=NEW)
            await world.until(lambda: len(validator.asked) == 2)
            world.write(a=OLD)
            await world.settle()
            assert world.document("a").state is DocumentState.PROGRAMMED
            validator.may_answer.set()
            await world.settle()
            assert proxy.is_sent() == [OLD]

    async def test_several_are_checked_together_and_refused_alone(self, kept: Path) -> None:
        validator = FakeValidator()
        validator.refuses = {"b": "no"}
        async with running(kept, validator=validator) as world:
            await world.start(a="a.example.com", b="b.example.com")
            assert validator.asked == [["a", "b"]]
            assert world.proxy().is_sent() == ["a.example.com"]
            assert world.document("b").quarantine
            world.write(b=None)
            await world.until(lambda: world.status.quarantines() == {})

    async def test_after_a_restart_what_was_refused_is_asked_about_again_or_served_unasked(
        self, kept: Path
    ) -> None:
        validator = FakeValidator()
        async with running(kept, validator=validator) as world:
            await world.start(a=OLD)
            world.proxy().answer()
            validator.refuses = {"a": "no"}
            world.write(a=BAD)
            await world.until(lambda: world.document("a").quarantine)
        validator = FakeValidator()
        async with running(kept, validator=validator) as world:
            await world.start(a=BAD)
            assert world.proxy().is_sent() == [OLD]
            assert validator.asked == []
            assert world.document("a").quarantine
        async with running(kept) as world:
            await world.start(a=BAD)
            assert world.proxy().is_sent() == [BAD]
            assert world.document("a").quarantine is None
