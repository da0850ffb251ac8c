"""Slices in, calcium score out; every edge decision is a named setting printed in the report."""
