"""Runs the inference service: python -m services.inference.

Multiprocessing has spawned processes import the main module, but not one that is called __main__; so another one is
made the main module here.
"""

import runpy

runpy.run_module("services.inference.server", run_name="__main__", alter_sys=True)
