"""Run app files on the models that this machine has."""

__version__ = "0.1.0"
