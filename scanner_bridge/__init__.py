"""The scanner bridge: hears triggers, checks every limit again on its own clock, and drives the scanner."""
