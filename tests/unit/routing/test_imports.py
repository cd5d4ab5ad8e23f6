"""The evaluator is a library: it needs no proxy's messages and no gRPC."""

import subprocess
import sys


def test_evaluating_imports_neither_envoy_nor_grpc() -> None:
    program = (
        "import sys, xds.routing, xds.rules.parse\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'betterproto2', 'envoy_data_plane', 'google.protobuf', 'grpc', 'v2'}))"
    )
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert said.stdout.strip() == "[]"
