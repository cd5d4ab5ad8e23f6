"""The services that are served in the benchmarks: all alike, in the shape of the example in docs/rules.md.

Each has a public host, two subsets, a rule for testers and a split that sticks to users, and four instances
at addresses of its own. One of them, ``EDITED``, is edited; the number of the edit is in the name of its
split (by which the clients see that an edit has reached them) and, if it is odd, testers go to the gray
subset and otherwise to the stable one (by which a request through Envoy sees it).
"""

from collections.abc import Sequence

from xds.rules.instance import Instance

GROUP = "edge"
"""The proxy group (Envoy's ``node.cluster``) that serves all hosts."""

EDITED = 0
"""The number of the service that is edited."""

TESTER = ("x-release", "canary")
"""The header that makes a request a tester's."""

_DOCUMENT = """\
service: {name}
hosts: [{name}.example.com]
gateways: [{group}]
subsets:
  stable: {{labels: {{version: v1}}}}
  gray: {{labels: {{version: v2}}}}
baseline: stable
http:
  - name: testers
    match:
      - headers: {{x-release: {{exact: canary}}}}
    route: [{{subset: {testers}}}]
  - name: {split}
    sticky: {{header: x-user-id}}
    route:
      - {{subset: stable, weight: {stable}}}
      - {{subset: gray, weight: {gray}}}
    timeout: 3s
"""


def service(number: int) -> str:
    """Name a service."""
    return f"service-{number:05}"


def host(number: int) -> str:
    """Name a service's public host."""
    return f"{service(number)}.example.com"


def document(number: int) -> str:
    """Name a service's rule document."""
    return f"{service(number)}.yaml"


def text(number: int, edit: int = 0) -> bytes:
    """Write a service's rule document as it is after so many edits."""
    gray = 10 + edit % 80  # always two digits: no edit changes a size
    split = marked(edit) if number == EDITED else "ramp"
    return _DOCUMENT.format(
        name=service(number),
        group=GROUP,
        testers="gray" if edit % 2 else "stable",
        split=split,
        stable=100 - gray,
        gray=gray,
    ).encode()


def marked(edit: int) -> str:
    """Write the number of an edit as ``peer/corpus.go`` looks for it."""
    return f"edit-{edit:06}"


def instances(number: int) -> tuple[Instance, ...]:
    """Place a service's instances: three of v1, one of v2."""
    return tuple(
        Instance(f"10.{number >> 8 & 0xFF}.{number & 0xFF}.{copy}", 8080, metadata={"version": version})
        for copy, version in enumerate(("v1", "v1", "v1", "v2"), 1)
    )


def local_instances(ports: Sequence[int]) -> tuple[Instance, ...]:
    """Place a service on this machine: v1 at the first port, v2 at the second."""
    return tuple(
        Instance("127.0.0.1", port, metadata={"version": version})
        for port, version in zip(ports, ("v1", "v2"), strict=True)
    )
