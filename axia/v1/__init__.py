"""Messages and stubs generated from proto/axia/v1. Nothing here is written by hand."""
