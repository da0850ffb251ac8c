"""The radiographer's page: a reader of the bus in its own process, without any key."""
