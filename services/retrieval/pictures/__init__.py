"""The bytes of the pictures: in a folder, or in any object store that fsspec knows."""
