"""Images and messages that nobody means well with."""
