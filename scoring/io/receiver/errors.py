"""What can stop the receiver itself; a bad object or peer never does, it gets a `Rejected` or a refusal."""


class ReceiverError(Exception):
    """A setting or the store is at fault; the text names it in one sentence, then says the cure."""


class JailError(OSError):
    """A name in the store is a link, or no file of ours; nothing is read or written through it."""
