"""Gate `deepchecks`: `gate` measures, `client` asks, `runner` answers in an environment of its own."""
