"""Pictures that callers send: told from other bytes, checked, repaired where that loses nothing, and decoded."""
