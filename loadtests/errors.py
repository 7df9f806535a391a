"""What a person can correct."""


class LoadError(Exception):
    """A run that can't begin or go on; the message says what to do."""
