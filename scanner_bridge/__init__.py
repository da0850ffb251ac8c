"""The scanner bridge: hears triggers, checks every limit again on its own clock, and controls the scanner by a driver."""
