"""A small world made here, so that everything runs for real with no GPU and no download."""
