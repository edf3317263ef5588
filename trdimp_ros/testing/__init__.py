"""Helpers for tests and benchmarks: small networks, toy images, golden data, real nodes as processes.

Nothing in the package imports this layer.
"""
