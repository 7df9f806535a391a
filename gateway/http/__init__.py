"""The gateway over HTTP and JSON: a client of its gRPC address."""
