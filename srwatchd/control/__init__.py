"""How commands reach a running daemon: one JSON object a line over a UNIX socket in the state directory."""
