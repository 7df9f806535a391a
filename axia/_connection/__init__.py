"""The connection of either client: transport, calls, streams and forks."""
