"""Grayplane: an Envoy xDS control plane for gray releases.

The layers, lowest first: ``rules`` and ``wire``; ``sources``; ``compiler``; ``cache``; ``protocol``;
``server``; ``pipeline``, which carries a change through them; ``app`` and ``cli``. A layer imports only
layers below it; import-linter holds that (``pyproject.toml``).
"""
