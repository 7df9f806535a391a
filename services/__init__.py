"""The gRPC services behind the gateway, and the boot that they share."""
