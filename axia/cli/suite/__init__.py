"""Commands that start and stop the suite on this machine."""
