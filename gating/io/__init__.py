"""Where the gate touches the world: ports, files, the bus, clocks, processes."""
