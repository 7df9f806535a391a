"""Calls to other servers: their addresses, their replicas, and what is tried again."""
