"""SQL-native PostgreSQL monitoring for multi-tenant products."""

from importlib.metadata import version

__version__ = version("sbpgmon")
