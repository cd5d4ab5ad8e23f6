"""Runs changes from the sources through rules and compiler to the views.

``Pipeline`` works in the event loop; what it calls (rules, compiler, views) does no I/O.
"""

from xds.pipeline.certificates import CertificateFile, CertificateFiles
from xds.pipeline.compilation import CompilationSettings
from xds.pipeline.pipeline import Pipeline
from xds.pipeline.saved_route_modes import keep_route_modes

__all__ = ["CertificateFile", "CertificateFiles", "CompilationSettings", "Pipeline", "keep_route_modes"]
