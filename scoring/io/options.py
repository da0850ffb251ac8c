"""The options of `diastole score`, each with its words for the help."""

from pathlib import Path
from typing import Annotated

import typer

Source = Annotated[Path | None, typer.Argument(metavar="PATH", help="Folder, zip or file with one axial CT series.")]
Series = Annotated[str | None, typer.Option(metavar="N|UID", help="Which of several series; with --dicomweb its UID.")]
Batch = Annotated[Path | None, typer.Option(metavar="ROOT", help="Score every study of an archive into a table.")]
Workers = Annotated[int, typer.Option(metavar="N", help="With --batch: studies at a time on this machine.")]
Scheduler = Annotated[str | None, typer.Option(metavar="TCP", help="With --batch: address of a Dask scheduler.")]
Dicomweb = Annotated[str | None, typer.Option(metavar="URL", help="Fetch the series from this DICOMweb archive.")]
Study = Annotated[str | None, typer.Option(metavar="UID", help="With --dicomweb: the study.")]
TokenFile = Annotated[Path | None, typer.Option(metavar="FILE", help="With --dicomweb: a file with a bearer token.")]
LabelsFile = Annotated[Path | None, typer.Option(help="Vessel map: a BINARY DICOM SEG of LM, LAD, LCX, RCA.")]
ScanFile = Annotated[Path | None, typer.Option(help="scan.json, what the acquisition says of itself.")]
OutFolder = Annotated[Path | None, typer.Option(help="Write score.json and report.html into this folder.")]
Results = Annotated[
    bool, typer.Option("--results", help="Write a draft revision into --out: PDF, DICOM SEG and SR, FHIR too.")
]
JsonFile = Annotated[str | None, typer.Option(metavar="FILE|-", help="Write score.json here; - is the output.")]
AllIslands = Annotated[bool, typer.Option("--all-islands", help="Score every island, bone and valves too.")]
Propose = Annotated[bool, typer.Option("--propose", help="Without a map: score what rules propose, as a draft.")]
KvMode = Annotated[str, typer.Option(help="120-only, kv-independent or not-comparable.")]
Connectivity = Annotated[int, typer.Option(help="4 or 8 neighbours inside a slice.")]
Preset = Annotated[str, typer.Option(help="Whose rules: agatston1990, siemens, philips, ge or canon.")]
VolumeMode = Annotated[str, typer.Option("--volume", help="voxel or interpolated; never compare the two.")]
PersonFile = Annotated[
    Path | None, typer.Option(metavar="FILE.toml", help="Age, sex, group and more: percentile and risk.")
]
Percentiles = Annotated[str, typer.Option(help="mesa, hoff or none.")]
CalibrationFile = Annotated[
    Path | None, typer.Option("--calibration", metavar="FILE.toml", help="Calibration rods, patient's size: the mass.")
]
JournalFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The gate's journal of this scan: true phase of each slice.")
]
VeryHigh = Annotated[str, typer.Option(help="Flag a score from here on; limits, separated by commas.")]
Cardiologist = Annotated[str, typer.Option(help="To whom a very high score is flagged, by name.")]
