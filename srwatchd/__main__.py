"""``python -m srwatchd`` is the command ``srwatchd``."""

from srwatchd.cli import entry

if __name__ == "__main__":
    entry()
