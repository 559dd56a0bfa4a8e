"""The daemon on the pole: bus -> camera -> plate -> store -> cloud."""

__version__ = "0.1.0"
