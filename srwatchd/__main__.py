"""``python -m srwatchd`` is the command ``srwatchd``."""

from srwatchd.cli import main

if __name__ == "__main__":
    main()
