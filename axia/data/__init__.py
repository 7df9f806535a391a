"""Data files that come with axia."""
