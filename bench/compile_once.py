"""Reads and compiles services once: ``python -m bench.compile_once SERVICES`` prints the seconds of each."""

import json
import sys
from time import perf_counter

from bench.compiled import compile_service, rule
from xds import gc_tuning


def _main(services: int) -> None:
    gc_tuning.look_rarely()
    with gc_tuning.paused():  # as `grayplane serve` starts
        start = perf_counter()
        rules = [rule(number) for number in range(services)]
        read = perf_counter()
        for number, each in enumerate(rules):
            compile_service(number, each)
        print(json.dumps([read - start, perf_counter() - read]))


if __name__ == "__main__":
    _main(int(sys.argv[1]))
