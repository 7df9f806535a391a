"""Reports of evaluations: one self-contained page, tables as CSV and LaTeX, from inspect_ai's logs."""
