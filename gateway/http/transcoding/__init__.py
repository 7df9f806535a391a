"""The contract's RPCs as HTTP routes with JSON, forms, server-sent events and WebSockets."""
