"""From a file that appears in a hot folder to a claim on it.

Hints (:mod:`~srwatchd.intake.watch`) make it quick, scans (:mod:`~srwatchd.intake.scan`) make it true, looks
(:mod:`~srwatchd.intake.look`) feed the settler (:mod:`~srwatchd.intake.settle`), which decides when a file is
complete; :mod:`~srwatchd.intake.claims` then takes it out of its writer's reach.
"""

__all__: list[str] = []
