"""Change the code in small ways and count how many of the changes a unit test finds (mutation testing).

Runs mutmut (``[tool.mutmut]`` in pyproject.toml) on a sample of the mutants of each package, or on all, and
says which share was found. What was not found: ``mutmut results``, and ``mutmut show NAME``.

``python -m tests.harness.mutation [--sample N | --all] [--at-least SHARE] [PATTERN...]``
"""

import argparse
import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from fnmatch import fnmatch
from pathlib import Path

MUTMUT = str(Path(sys.executable).parent / "mutmut")
FOUND = {"killed", "timeout", "caught by type check"}
NOT_RUN = "not checked"
SEED = 1
"""The same mutants are drawn again as long as the code is the same."""
IN_ONE_CALL = 500


def prepare() -> dict[str, str]:
    """Make the mutants and note which tests reach which function; return what is known of each mutant."""
    subprocess.run([MUTMUT, "run", "--max-children", "1", "none.of.them"], check=False, capture_output=True)
    return results()


def results() -> dict[str, str]:
    """Return the result of each mutant, by name."""
    listed = subprocess.run(
        [MUTMUT, "results", "--all", "true"], check=True, capture_output=True, text=True
    ).stdout
    pairs = (line.strip().rpartition(": ") for line in listed.splitlines() if "__mutmut_" in line)
    return {name: result for name, _, result in pairs}


def package(name: str) -> str:
    """Return the package of a mutant: ``xds.cache``."""
    return ".".join(name.split(".")[:2])


def draw(names: Iterable[str], patterns: Sequence[str], sample: int | None) -> list[str]:
    """Return ``sample`` mutants of each package, or all."""
    by_package: dict[str, list[str]] = defaultdict(list)
    for name in sorted(names):
        if not patterns or any(fnmatch(name, pattern) for pattern in patterns):
            by_package[package(name)].append(name)
    chance = random.Random(SEED)
    return [
        name
        for each in by_package.values()
        for name in (each if sample is None else chance.sample(each, min(sample, len(each))))
    ]


def run(names: Sequence[str]) -> None:
    """Run the tests against these mutants."""
    workers = str(len(os.sched_getaffinity(0)))
    for start in range(0, len(names), IN_ONE_CALL):
        part = names[start : start + IN_ONE_CALL]
        command = [MUTMUT, "run", "--max-children", workers, *part]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__)
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="mutants, as xds.cache.view*")
    parser.add_argument("--sample", type=int, default=100, help="mutants of each package (100)")
    parser.add_argument("--all", action="store_true", help="all mutants; hours")
    parser.add_argument("--at-least", type=float, default=0.0, help="exit code 1 if a smaller share is found")
    arguments = parser.parse_args()
    names = draw(prepare(), arguments.patterns, None if arguments.all else arguments.sample)
    if not names:
        print("no mutant has such a name", file=sys.stderr)
        return 2
    run(names)
    outcome = results()
    lost = sorted(name for name in names if outcome[name] not in FOUND)
    for name in lost:
        print(f"{name}: {outcome[name]}")
    for each in sorted({package(name) for name in names}):
        of_package = [name for name in names if package(name) == each]
        found = sum(outcome[name] in FOUND for name in of_package)
        print(f"{each}: {found} of {len(of_package)} found, {found / len(of_package):.0%}")
    share = 1 - len(lost) / len(names)
    print(f"{len(names) - len(lost)} of {len(names)} found, {share:.0%}")
    return 1 if share < arguments.at_least else 0


if __name__ == "__main__":
    sys.exit(main())
