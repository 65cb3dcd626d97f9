"""Retag: a self-hosted retargeting tag."""

__version__ = "0.1.0"
