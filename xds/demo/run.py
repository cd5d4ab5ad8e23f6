"""Runs the demo: starts everything, says what to try, shows what happens, stops everything."""

import asyncio
import signal
from contextlib import suppress
from pathlib import Path

from rich.console import Console

from xds.demo.child import Child
from xds.demo.errors import DemoError
from xds.demo.examples import provide_rules
from xds.demo.invitation import invitation
from xds.demo.plan import DemoPlan
from xds.demo.preflight import check
from xds.demo.processes import processes
from xds.demo.readiness import until_ready
from xds.demo.traffic import Traffic
from xds.demo.view import show, show_notices


def run(plan: DemoPlan) -> None:
    """Run the demo until SIGINT, SIGTERM or SIGHUP. Raise ``DemoError`` when it cannot run, or no longer."""
    envoy = check(plan)
    plan.make_files()
    asyncio.run(_until_signal(plan, envoy))


async def _until_signal(plan: DemoPlan, envoy: Path) -> None:
    signalled = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, signalled.set)
    console = Console(highlight=False)
    running = asyncio.create_task(_run(plan, envoy, console))
    waiting = asyncio.create_task(signalled.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    # From here on signals change nothing: stopping is under way and takes seconds at most.
    running.cancel()
    waiting.cancel()
    with suppress(asyncio.CancelledError):
        await running
    console.print("Stopped.")


async def _run(plan: DemoPlan, envoy: Path, console: Console) -> None:
    console.print(await provide_rules(plan), soft_wrap=True, markup=False)
    children = processes(plan, envoy)
    try:
        async with asyncio.TaskGroup() as tasks:
            for child in children:
                await child.start()
                tasks.create_task(child.watch())
            tasks.create_task(show_notices(console, plan.directory.log("grayplane")))
            await until_ready(plan, console)
            console.print(invitation(plan), soft_wrap=True, markup=False)
            await show(console, _traffic(plan), plan.directory.access_log)
    except BaseExceptionGroup as group:  # not except*: Python before 3.11.4 wraps what is raised in it
        if (ours := group.subgroup(DemoError)) is None:
            raise
        raise _first(ours) from None
    finally:
        await _stop(children)


def _traffic(plan: DemoPlan) -> Traffic:
    return Traffic({f"127.0.0.1:{sample.port}": sample.version for sample in plan.samples})


def _first(group: BaseExceptionGroup[DemoError]) -> DemoError:
    """Return what went wrong first: what dies after it does so because of it."""
    error = group.exceptions[0]
    return error if isinstance(error, DemoError) else _first(error)


async def _stop(children: list[Child]) -> None:
    await asyncio.gather(*(child.stop() for child in children))
