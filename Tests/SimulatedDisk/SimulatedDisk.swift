// SimulatedDisk
