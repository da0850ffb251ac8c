"""Gating: serial bytes in, triggers out. Read README.md for the flow; the rooms stand in the order of the data."""
