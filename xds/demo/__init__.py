"""A self-contained demonstration: Grayplane, a real Envoy and sample services on this machine."""
