"""The studies' measures: S%, preference, I_avg, misalignment, and the completions of one image."""
