"""Where rules and instances come from: one small protocol (``base``), a directory, Nacos."""
