"""Effects with margins: by how much two sets of maps differ, and what the verdict on them is."""
