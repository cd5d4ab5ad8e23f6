"""What tests are run with: real Envoys, upstream services, free ports, raw HTTP."""
