"""Experiments: what the method's parts are worth, measured by a network that never steered."""
