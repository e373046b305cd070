"""Passmuster decides whether a machine-learning model reaches production."""

__version__ = "0.1.0"
