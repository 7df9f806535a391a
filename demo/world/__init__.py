"""Pictures with a known truth, composed of emoji sprites; deterministic from a seed."""
