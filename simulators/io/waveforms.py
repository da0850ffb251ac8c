"""Test waveforms as CSV files, such as `gating.io.records` reads and a signal generator takes."""

import csv
from pathlib import Path

from gating.errors import SettingsError
from simulators.meter_tests import Waveform


def write_csv(path: Path, waveform: Waveform, rate_hz: float) -> None:
    """Write the columns `time_s`, `II_mV` and `beat`, whose WFDB symbol stands in the row of each R-peak.

    Raises
    ------
    SettingsError
        If the file cannot be written, with the cure.
    """
    beats = {round(at_s * rate_hz): symbol for at_s, symbol in zip(waveform.qrs_at_s, waveform.symbols, strict=True)}
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(["time_s", "II_mV", "beat"])
            for sample, microvolts in enumerate(waveform.microvolts.tolist()):
                writer.writerow([f"{sample / rate_hz:.6f}", f"{microvolts / 1000.0:.4f}", beats.get(sample, "")])
    except OSError as error:
        raise SettingsError(
            f"The file {path} cannot be written ({error.strerror}); name one in a folder that is there."
        ) from error
