"""A simulated study as DICOM: slices and territories, ECG, dose report, and one enhanced object."""
