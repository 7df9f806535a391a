"""What scripts.interval_coverage simulates: answers whose true figures are known, and axia's intervals of them."""
