"""A stand-in for E2B on loopback, whose sandboxes really run code."""

from .machine import Size
from .server import API_KEY, StandIn

__all__ = ["API_KEY", "Size", "StandIn"]
