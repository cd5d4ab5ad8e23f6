"""Protobuf bytes: a fast, deterministic encoder of ``envoy_data_plane`` messages."""
