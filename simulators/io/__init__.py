"""Where the simulators touch the world: the pty, TCP, DICOM files, the demo."""
