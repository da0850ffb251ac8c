"""The ECG of a simulated scan as DICOM, in the slices' own frame of time, with the gate's R-peaks marked.

A box with all twelve leads gives a 12-Lead ECG, another a General ECG; below the 200 Hz that these need it is an
Ambulatory ECG (PS3.3 A.34.3 to A.34.5).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.coding import Code
from pydicom.uid import AmbulatoryECGWaveformStorage, GeneralECGWaveformStorage, TwelveLeadECGWaveformStorage

from simulators.io.dicom.study import (
    COMMENT,
    StudyIdentity,
    date_time,
    describe_synchronization,
    new_object,
)

TWELVE, LEAST_HZ = 12, 200.0
# CID 3001, ECG Leads, by their MDC codes
LEAD_CODES = {
    "I": ("2:1", "Lead I"),
    "II": ("2:2", "Lead II"),
    "III": ("2:61", "Lead III"),
    "aVR": ("2:62", "aVR, augmented voltage, right"),
    "aVL": ("2:63", "aVL, augmented voltage, left"),
    "aVF": ("2:64", "aVF, augmented voltage, foot"),
    **{f"V{n}": (f"2:{n + 2}", f"Lead V{n}") for n in range(1, 7)},
}


def coded(code: Code) -> Dataset:
    """Write a code as the item of a sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def write_ecg(
    path: Path,
    identity: StudyIdentity,
    samples_uv: NDArray[np.float64],
    leads: Sequence[str],
    rate_hz: float,
    *,
    first_at_s: float,
    r_at_s: Sequence[float],
) -> Dataset:
    """Write an ECG.

    Parameters
    ----------
    path
        Of the file.
    identity
        The study of the slices.
    samples_uv
        Microvolts, [sample, lead].
    leads
        The names of the columns.
    rate_hz
        The true rate.
    first_at_s
        Patient time of the first sample.
    r_at_s
        Patient times of the R-peaks to be marked; those outside the samples are left out.

    Returns
    -------
    Dataset
        What was written.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    sop_class = AmbulatoryECGWaveformStorage
    if rate_hz >= LEAST_HZ:
        sop_class = TwelveLeadECGWaveformStorage if len(leads) == TWELVE else GeneralECGWaveformStorage
    title = "ECG of the scan, simulated"
    dataset = new_object(identity, sop_class, "ecg", series="ecg series", modality="ECG", number=200, title=title)
    at = identity.at(first_at_s)
    dataset.AcquisitionDateTime = date_time(at)
    dataset.ContentDate, dataset.ContentTime = at.strftime("%Y%m%d"), at.strftime("%H%M%S.%f")
    describe_synchronization(dataset, identity, "SOURCE")
    dataset.AcquisitionContextSequence = DicomSequence()
    dataset.WaveformSequence = DicomSequence([_group(samples_uv, leads, rate_hz)])
    seconds = len(samples_uv) / rate_hz
    inside = [r_s - first_at_s for r_s in r_at_s if 0.0 <= r_s - first_at_s < seconds]
    dataset.WaveformAnnotationSequence = DicomSequence([_note(COMMENT), *(_r_mark(offset_s) for offset_s in inside)])
    dataset.save_as(path, enforce_file_format=True)
    return dataset


def _group(samples_uv: NDArray[np.float64], leads: Sequence[str], rate_hz: float) -> Dataset:
    """Make the one multiplex group: whole microvolts, 16 bit."""
    group = Dataset()
    group.WaveformOriginality = "ORIGINAL"
    group.NumberOfWaveformChannels = len(leads)
    group.NumberOfWaveformSamples = len(samples_uv)
    group.SamplingFrequency = f"{rate_hz:.10g}"
    group.MultiplexGroupLabel = "RHYTHM"
    group.ChannelDefinitionSequence = DicomSequence([_channel(lead) for lead in leads])
    group.WaveformBitsAllocated = 16
    group.WaveformSampleInterpretation = "SS"
    group.WaveformData = np.clip(np.rint(samples_uv), -32768, 32767).astype("<i2").tobytes()
    group["WaveformData"].VR = "OW"
    return group


def _channel(lead: str) -> Dataset:
    channel = Dataset()
    value, meaning = LEAD_CODES[lead]
    channel.ChannelSourceSequence = DicomSequence([coded(Code(value, "MDC", meaning))])
    channel.ChannelSensitivity = 1.0
    channel.ChannelSensitivityUnitsSequence = DicomSequence([coded(Code("uV", "UCUM", "microvolt"))])
    channel.ChannelSensitivityCorrectionFactor = 1.0
    channel.ChannelBaseline = 0.0
    channel.ChannelSampleSkew = 0.0
    channel.WaveformBitsStored = 16
    return channel


def _r_mark(offset_s: float) -> Dataset:
    """Mark an R-peak, to the microsecond after the first sample."""
    mark = _note("R")
    mark.TemporalRangeType = "POINT"
    mark.ReferencedTimeOffsets = f"{1e3 * offset_s:.3f}"
    return mark


def _note(text: str) -> Dataset:
    note = Dataset()
    note.ReferencedWaveformChannels = [1, 0]  # all channels of the first group
    note.AnnotationGroupNumber = 1
    note.UnformattedTextValue = text
    return note
