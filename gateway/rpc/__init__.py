"""The gateway's gRPC services: convert, call, convert; and the proxy for the services' own RPCs."""
