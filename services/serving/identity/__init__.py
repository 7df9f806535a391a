"""Who calls a server, whether they may, how much they may use, and the record of it."""
