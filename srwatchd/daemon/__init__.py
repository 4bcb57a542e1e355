"""The daemon: folders under patrol, jobs in turn, everything that outlives a reload."""
