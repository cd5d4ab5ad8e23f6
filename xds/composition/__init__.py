"""Composition: every object is made here, from the settings, and wired to the others."""
