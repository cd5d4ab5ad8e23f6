"""The gray-rule language: its model, its parser with line numbers, and what is wrong with a document.

Knows no Envoy and no Nacos, does no I/O.
"""
