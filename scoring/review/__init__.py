"""The page on which a person gives lesions their vessels: one series, one reader, this computer only."""
