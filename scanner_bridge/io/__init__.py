"""Where the bridge touches the world: the bus, the audit log, the watchdog, the registry of drivers."""
