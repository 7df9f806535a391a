"""What maps pictures and texts into one space, and the adapter to open_clip."""
