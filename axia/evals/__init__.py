"""Evaluations: the two studies and what they propose, as tasks of inspect_ai, with a provider for models behind axia.

`axia.evals._registry` is what inspect_ai finds: ``inspect eval axia/values_detector --model axia/demo``. Importing this
package alone imports no inspect_ai, which a client may lack.
"""
