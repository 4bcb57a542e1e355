"""The web console: an optional process beside the daemon, which it asks, and whose files it never moves.

Needs the extra ``console``. It drops uploads into inboxes, reads the ledger's files, and asks the daemon over its
control socket; it writes nothing else outside of ``state_dir/origins`` and ``state_dir/console``.
"""
