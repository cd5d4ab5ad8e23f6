"""What all tests have in common."""

from hypothesis import settings

# Machines are noisy: how long an example takes says nothing.
settings.register_profile("grayplane", deadline=None)
settings.load_profile("grayplane")
