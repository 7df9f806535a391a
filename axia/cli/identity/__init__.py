"""Commands for API keys and certificates."""
