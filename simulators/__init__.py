"""A simulated patient, ECG box, scanner and CT physics: the whole chain on a laptop. Nobody imports simulators."""
