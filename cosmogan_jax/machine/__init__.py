"""What a run computes on: the C library's memory."""
