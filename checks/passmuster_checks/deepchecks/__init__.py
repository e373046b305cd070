"""Deepchecks in its own process and environment: `client` asks, `runner.py` answers."""
