"""Benchmarks: how fast Grayplane is beside a peer or a limit, measured in one run on one machine.

``python -m bench`` runs them all, ``python -m bench NAME`` one. The peer is go-control-plane, the server that
most xDS control planes are built on; its half is the Go module in ``peer/``, which also holds the one load
client that drives both servers in turn. The limit for encoding is upb, protobuf's C runtime.

Every number is the median of several runs after a warm-up, with the lowest and the highest beside it.
Servers and clients are processes of their own on the loopback interface, and end with the bench.
"""
