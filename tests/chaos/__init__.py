"""Tests that do the suite harm: `make chaos`, and AXIA_TEST_CHAOS=full for the published figures."""
