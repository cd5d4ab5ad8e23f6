"""The gRPC face of the protocol: bytes in, protocol, bytes out."""
