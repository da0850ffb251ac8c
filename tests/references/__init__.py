"""Slow, plain references that fast code is held against, in tests and in benchmarks."""
