"""Finds pictures by words, by value or by picture, and indexes pictures."""
