"""Where the first sentence of an answer ends, in text that is still being generated."""
