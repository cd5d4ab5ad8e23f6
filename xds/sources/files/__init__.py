"""Rules and instances from directories of files, watched."""

from xds.sources.files.source import FilesSource

__all__ = ["FilesSource"]
