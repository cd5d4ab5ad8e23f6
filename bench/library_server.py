"""Grayplane's server without rules, as any program may use it: ``python -m bench.library_server CORPUS``.

It serves the resources in a file (``bench.corpus``) to every node.
"""

import asyncio
import pickle
import sys
from pathlib import Path

from bench import workload
from bench.control import serve
from xds import gc_tuning, logs
from xds.cache import Resource, View
from xds.server import XdsServer


def load(path: Path) -> list[Resource]:
    """Read the resources of a corpus."""
    resources: list[Resource] = pickle.loads(path.read_bytes())
    return resources


def is_edited(resource: Resource) -> bool:
    """Whether this is the resource that is edited."""
    return workload.marked(0).encode() in resource.body


def edit(resource: Resource, number: int) -> Resource:
    """Return the edited resource as it is after so many edits of the one in the file."""
    before, after = workload.marked(0).encode(), workload.marked(number).encode()
    body = resource.body.replace(before, after)
    return Resource.of(
        resource.type_url, resource.name, body, requires=resource.requires, origins=resource.origins
    )


async def _main(path: Path) -> None:
    resources = load(path)
    (edited,) = filter(is_edited, resources)
    view = View()
    view.apply(resources)
    del resources
    server = XdsServer(lambda *_: view)
    server.open()
    await serve(server, lambda number: view.apply([edit(edited, number)]))


if __name__ == "__main__":
    logs.configure("info", "json")  # as in production: a log line is part of what an edit costs
    gc_tuning.look_rarely()
    asyncio.run(_main(Path(sys.argv[1])))
