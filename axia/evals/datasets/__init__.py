"""Data sets of the field from local folders, as files that the tasks read. Nothing is downloaded."""
