"""The tasks: what is asked about which pictures, and how answers are scored."""
