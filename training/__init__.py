"""The training of the detector's judge: a script for developers, no part of the installed product."""
