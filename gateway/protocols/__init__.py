"""Detection, preference, interest and watching: what models are asked, and what answers say together."""
