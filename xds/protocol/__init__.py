"""Sans-I/O xDS: what one stream has subscribed, been sent, acknowledged and rejected."""
