"""The public API: samples a model, summarises its answers."""
