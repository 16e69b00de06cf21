"""Faults, overload and long runs against a service of our own: what must hold, measured.

Every row starts the service it needs on loopback, does its harm by pid to what it started itself,
judges what it saw against fixed limits, and leaves `benchmarks/results/chaos/ROW.json`.
"""
