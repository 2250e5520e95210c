"""Measures Wirebird beside its peers; README.md says how, `scenarios.py` what."""
