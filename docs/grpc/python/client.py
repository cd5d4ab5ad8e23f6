"""Asks a service for its health, as its gray rules say: python client.py xds:///reviews x-release=canary

Needs: pip install grpcio grpcio-health-checking
"""

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def main(target: str, *headers: str) -> None:
    """Make one call; print the answer."""
    metadata = [tuple(header.split("=", 1)) for header in headers]
    with grpc.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=20, metadata=metadata)
        print(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


main(*sys.argv[1:])
