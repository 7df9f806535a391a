"""Statistics over numbers and tables; knows nothing of texts and protocols."""
