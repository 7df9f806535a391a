"""Generates completions with one vision-language model."""
