"""What the commands about preference share: saved assessments and their tables."""
