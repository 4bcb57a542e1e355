"""The console under load: many large uploads at once, many pages that look, while the daemon works.

``python -m benchmarks.console`` makes a daemon and a console in a folder of its own and measures

- how long an upload of 20 MB takes alone, and while 50 pages ask for the present once a second (the daemon is paused
  for both);
- 50 uploads of 20 MB at once while the daemon works on what came before: the console's peak memory, the slowest page
  meanwhile, and that all 50 are delivered.

``python -m benchmarks.console.ledger`` opens a ledger of half a million lines, ``python -m benchmarks.console.page``
has 500 uploads wait on one page of a Chromium; both say at their head what they measure. Every figure is printed with
the machine's load at that moment.

``--uploads``, ``--megabytes``, ``--pages`` for other numbers, ``--json`` for scripts. Ends with 1 if a picture is
missing.
"""
