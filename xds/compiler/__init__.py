"""Pure functions from rules and instances to Envoy resources. No I/O, no clock, deterministic order."""
