"""Other people's detectors, for comparison: offline, each with one lead of the whole record before it."""

import importlib.util
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gating.errors import SettingsError

Floats = NDArray[np.float64]

NEUROKIT = (
    "neurokit",
    "pantompkins1985",
    "hamilton2002",
    "zong2003",
    "martinez2004",
    "christov2004",
    "gamboa2008",
    "elgendi2010",
    "engzeemod2012",
    "manikandan2012",
    "khamis2016",
    "kalidas2017",
    "nabian2018",
    "rodrigues2021",
    "emrich2023",
    "koka2022",
    "promac",
)
"""NeuroKit's methods. One that NeuroKit has no own cleaning for works on the signal as it is."""


def _sleepecg(millivolts: Floats, rate_hz: float) -> Floats:
    import sleepecg

    return np.asarray(sleepecg.detect_heartbeats(millivolts, rate_hz), dtype=np.float64)


def _xqrs(millivolts: Floats, rate_hz: float) -> Floats:
    from wfdb.processing import xqrs_detect

    return np.asarray(xqrs_detect(sig=millivolts, fs=rate_hz, verbose=False), dtype=np.float64)


def _gqrs(millivolts: Floats, rate_hz: float) -> Floats:
    from wfdb.processing import gqrs_detect

    return np.asarray(gqrs_detect(sig=millivolts, fs=rate_hz), dtype=np.float64)


def _biosppy(millivolts: Floats, rate_hz: float) -> Floats:
    from biosppy.signals import ecg

    return np.asarray(ecg.hamilton_segmenter(signal=millivolts, sampling_rate=rate_hz)["rpeaks"], dtype=np.float64)


def _neurokit(method: str) -> Callable[[Floats, float], Floats]:
    """Make a detector of one of NeuroKit's methods, cleaned by the method's own filter where it has one."""

    def detect(millivolts: Floats, rate_hz: float) -> Floats:
        """Clean and find."""
        import neurokit2

        rate = round(rate_hz) if float(rate_hz).is_integer() else rate_hz
        try:
            cleaned = neurokit2.ecg_clean(millivolts, sampling_rate=rate, method=method)
        except ValueError:
            cleaned = millivolts  # no cleaning of its own
        found = neurokit2.ecg_findpeaks(cleaned, sampling_rate=rate, method=method)
        return np.asarray(found["ECG_R_Peaks"], dtype=np.float64)

    return detect


DETECTORS: dict[str, tuple[str, Callable[[Floats, float], Floats]]] = {
    "sleepecg": ("sleepecg", _sleepecg),
    "xqrs": ("wfdb", _xqrs),
    "gqrs": ("wfdb", _gqrs),
    "biosppy": ("biosppy", _biosppy),
    **{method: ("neurokit2", _neurokit(method)) for method in NEUROKIT},
}
"""Per name the package that it comes from and the function."""

NOT_IN_PEERS = {"biosppy": "biosppy", "emrich2023": "ts2vg", "koka2022": "ts2vg"}
"""What a few need and the extra `peers` does not bring."""


def peers_named(text: str) -> tuple[str, ...]:
    """Read a list such as `sleepecg,gqrs,neurokit:khamis2016`.

    Raises
    ------
    SettingsError
        If a name is unknown, or its package is not installed.
    """
    names = tuple(dict.fromkeys(one.strip().removeprefix("neurokit:") for one in text.split(",") if one.strip()))
    if not names:
        raise SettingsError(f"--against {text!r} names no detector; choose among {', '.join(DETECTORS)}.")
    for name in names:
        if name not in DETECTORS:
            raise SettingsError(f"There is no peer {name!r}; --against takes {', '.join(DETECTORS)}.")
        more = NOT_IN_PEERS.get(name)
        for package in dict.fromkeys((DETECTORS[name][0], more or DETECTORS[name][0])):
            if importlib.util.find_spec(package) is None:
                cure = f"pip install {more}" if package == more else "pip install 'diastole[peers]'"
                raise SettingsError(f"The peer {name} needs the package {package}, which is not installed; {cure}.")
    return names


def run_peer(name: str, microvolts: Floats, rate_hz: float) -> tuple[Floats, str | None]:
    """Give the beats that a peer finds in one lead, as sample numbers, and what went wrong, if anything did."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return DETECTORS[name][1](microvolts * 1e-3, rate_hz), None
        except Exception as error:
            # a peer's fault on one record is a result: it found nothing there, and the report says why
            first_line = (str(error).splitlines() or [""])[0]
            return np.zeros(0), f"{name} failed ({type(error).__name__}: {first_line})"
