"""Where scoring touches the world: DICOM files and reports."""
