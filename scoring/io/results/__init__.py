"""What a score becomes on its way out: each form of it as the bytes of one file."""
