"""A whole suite to do harm to, the calls that come in meanwhile, and a bad network."""
