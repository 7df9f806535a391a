"""The scoring service: turns answers into numbers."""
