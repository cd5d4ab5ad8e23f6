"""Reads and compiles services once: ``python -m bench.compile_once SERVICES`` prints the seconds of each."""

import json
import sys
from time import perf_counter

from bench import workload
from bench.compiled import rule
from xds.pipeline.compiled import CompiledService


def _main(services: int) -> None:
    start = perf_counter()
    rules = [rule(number) for number in range(services)]
    read = perf_counter()
    for number, each in enumerate(rules):
        name, document = workload.service(number), workload.document(number)
        CompiledService.of(name, each, document, workload.instances(number))
    print(json.dumps([read - start, perf_counter() - read]))


if __name__ == "__main__":
    _main(int(sys.argv[1]))
