"""What a technique costs the patient: CTDIvol by current and voltage, and the factor from DLP to effective dose.

CTDIvol and DLP come first; an effective dose is an estimate by a factor, which is always named with its source.
"""

from dataclasses import dataclass
from typing import Literal

PROTOCOL_MAS = 57.0
"""Tube current-time product of the calcium protocol that the dose rests on: 120 kV prospective, gating.md S72."""

PROTOCOL_MSV = 0.9
"""Its effective dose, +/- 0.2 mSv, stated with k = 0.014 (gating.md section 4.4, S72)."""

PROTOCOL_KVP = 120
LEAST_KVP, MOST_KVP = 70, 140

KV_EXPONENT = 2.6
"""CTDIvol grows with this power of the voltage, head and body: 43 scanners of four makers ("Relationship between
radiographic techniques (kilovolt and milliampere-second) and CTDIvol", Radiat Prot Dosimetry 2010; abstract read). It
also gives 78 +- 22 microgray per mAs for the body at 120 kV; ours is 70.5."""

IRRADIATED_CM = 16.0
"""Length that the protocol irradiates: 4 x 40 mm (usual scan length 128-160 mm, gating.md S76)."""

FactorName = Literal["legacy chest", "ICRP 103 calcium"]


@dataclass(frozen=True, slots=True)
class DoseFactor:
    """From DLP to effective dose."""

    msv_per_mgycm: float
    source: str


FACTORS: dict[FactorName, DoseFactor] = {
    "legacy chest": DoseFactor(
        0.014, "legacy chest factor 0.014 mSv/(mGy cm), behind most published doses (e.g. PMC3294285)"
    ),
    "ICRP 103 calcium": DoseFactor(
        0.0289,
        "ICRP 103, calcium scans at 120 kV, mean of 8 scanners (Trattner 2018, JACC Cardiovasc Imaging 11:64, T4)",
    ),
}


def ctdivol_mgy_per_mas(kvp: float = PROTOCOL_KVP) -> float:
    """Give CTDIvol per mAs, in mGy, of one slab, at a voltage of 70 to 140 kV.

    References
    ----------
    gating.md section 4.4, row "120 kV prospective": 57 mAs -> 0.9 mSv with k = 0.014 [S72]; `KV_EXPONENT`.

    Our deviations:

    - DLP = 0.9 / 0.014 = 64.3 mGy cm is spread evenly over 16 cm: 4.02 mGy at 57 mAs. A scanner's own table of CTDIvol
      replaces this figure where there is one.
    """
    at_protocol = PROTOCOL_MSV / FACTORS["legacy chest"].msv_per_mgycm / IRRADIATED_CM / PROTOCOL_MAS
    return float(at_protocol * (kvp / PROTOCOL_KVP) ** KV_EXPONENT)
