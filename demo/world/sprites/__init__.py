"""The sprite atlas and how it is built from the emoji font."""
