"""Where documents and instances come from: a protocol for sources (``base``), directories, Nacos."""
