"""Grayplane: an Envoy xDS control plane for gray releases.

``docs/architecture.md`` says what each layer does and where to begin reading. A layer imports only layers
below it; import-linter holds that (``pyproject.toml``).
"""
