"""The few errors, each naming who is at fault.

::

    DiastoleError
    ├── DeviceError     the ECG box, its cable or the scanner: missing, busy, unplugged, talking nonsense
    ├── PeerError       another process or host: the broker, the bridge, a forged or stale message
    ├── SettingsError   the site file, a scenario, a command's arguments: unknown key, wrong value
    └── RecordError     a file that somebody gave us: a recording, a DICOM series, a journal

Every text is one sentence that says what is wrong, then the cure. A *refusal* is not an error: it is data with reasons.
"""


class DiastoleError(Exception):
    """Something that a person has to mend before Diastole can go on; the text names the guilty side and the cure."""


class DeviceError(DiastoleError):
    """The device is at fault: the ECG box, its cable, or the scanner."""


class PeerError(DiastoleError):
    """Another process or host is at fault: the broker, the bridge, or whoever sent what we could not trust."""


class SettingsError(DiastoleError):
    """The settings are at fault: an unknown key, a wrong value, a missing file."""


class RecordError(DiastoleError):
    """A file is at fault: a recording, a series, a journal that cannot be read as what it claims to be."""
