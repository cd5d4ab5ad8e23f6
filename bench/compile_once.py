"""Reads and compiles services once: ``python -m bench.compile_once SERVICES`` prints the seconds of each."""

import json
import sys
from time import perf_counter

from bench.compiled import compile_service, rule


def _main(services: int) -> None:
    start = perf_counter()
    rules = [rule(number) for number in range(services)]
    read = perf_counter()
    for number, each in enumerate(rules):
        compile_service(number, each)
    print(json.dumps([read - start, perf_counter() - read]))


if __name__ == "__main__":
    _main(int(sys.argv[1]))
