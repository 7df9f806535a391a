"""API keys and certificates, for the command line that writes them and the servers that read them."""
