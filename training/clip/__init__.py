"""Trains the demo CLIP and evaluates it on held-out template families."""
