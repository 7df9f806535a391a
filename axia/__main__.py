"""Runs the command line as `python -m axia`."""

from axia.cli import main

if __name__ == "__main__":
    main()
