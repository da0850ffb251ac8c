"""A storage SCP that takes a scanner's slices and scores a complete series by itself, as a draft."""
