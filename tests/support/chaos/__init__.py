"""Faults, hostile input and load for a whole suite."""
