"""Serial bytes to sample blocks and back: one file per ECG box, one table of them all."""
