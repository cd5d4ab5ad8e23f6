"""Encoded resources and the views that nodes see of them. Knows type URLs, names, versions and bytes."""
