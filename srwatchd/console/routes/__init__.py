"""The API by its parts: each module has one ``router``, which :mod:`srwatchd.console.app` lists."""
