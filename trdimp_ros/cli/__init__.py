"""The command ``trdimp``."""
