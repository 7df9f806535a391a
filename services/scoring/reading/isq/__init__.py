"""Reads the six items of the questionnaire (arXiv 2411.11479) from answers in any layout."""
