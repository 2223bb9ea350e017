"""What a run computes on: devices and processes, memory, compiled programs, signals, and how far it is."""
