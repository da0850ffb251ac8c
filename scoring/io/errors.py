"""The one error of this room: somebody gave us files that cannot be read as what they claim to be.

Scoring imports no sibling room, so its `io` has its own error; the command line turns it into exit code 2. A series
that can be read but must not be scored is not an error: it is a `Refusal` with its reasons.
"""


class SeriesError(Exception):
    """A file or folder is at fault; the text names it in one sentence, then says the cure."""
