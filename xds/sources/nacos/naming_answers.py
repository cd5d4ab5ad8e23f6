"""Reads what Nacos's naming answers: instances that can be routed to, and what is wrong with the others."""

from collections.abc import Iterable
from typing import Any

from xds.rules.instance import Instance
from xds.sources.endpoint import LocalitySources, address_problem, port_problem, weight_problem

_NO_CLUSTER = "DEFAULT"
"""The cluster of an instance that was registered without one."""


def bare(service: str) -> str:
    """Return the name without its group, which some answers put before it."""
    return service.rpartition("@@")[2]


def hosts_of(response: Any) -> Iterable[Any]:
    """Return the instances in an answer, as the SDK has them."""
    return response.serviceInfo.hosts if response.serviceInfo else ()


def instances_of(hosts: Iterable[Any], localities: LocalitySources) -> tuple[tuple[Instance, ...], list[str]]:
    """Return the SDK's instances that can be routed to, in a fixed order, and what is wrong with the rest."""
    found: dict[tuple[str, int], Instance] = {}
    problems: list[str] = []
    for host in hosts:
        problem = address_problem(host.ip) or port_problem(host.port) or weight_problem(host.weight)
        if problem:
            problems.append(problem)
            continue
        metadata = {str(name): str(value) for name, value in host.metadata.items()}
        instance = Instance(
            host.ip,
            host.port,
            host.weight,
            host.healthy and host.enabled,
            metadata,
            localities.of(metadata, "" if host.clusterName in {None, _NO_CLUSTER} else host.clusterName),
        )
        other = found.get((host.ip, host.port))
        # Registered in two of Nacos's clusters, a process is there once; it serves if either says so.
        if other is None or not other.serving:
            found[host.ip, host.port] = instance
    return tuple(found[endpoint] for endpoint in sorted(found)), problems


def with_missing(reported: tuple[Instance, ...], known: tuple[Instance, ...]) -> tuple[Instance, ...]:
    """Return the instances that are reported, and those that are not any more."""
    there = {(instance.address, instance.port) for instance in reported}
    kept = [instance for instance in known if (instance.address, instance.port) not in there]
    return tuple(sorted([*reported, *kept], key=lambda instance: (instance.address, instance.port)))
